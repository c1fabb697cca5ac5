"""Parse and check HTML pages."""

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import html5lib


class ParsedPage(HTMLParser):
    """The elements of an HTML page, with their attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.elements = []  # lists [name, attributes, text before the next element]
        self.feed(text)

    def handle_starttag(self, name, attributes):
        self.elements.append([name, dict(attributes), ""])

    def handle_data(self, text):
        if self.elements:
            self.elements[-1][2] += text

    def of(self, name):
        """Return the elements with this tag name."""
        return [element for element in self.elements if element[0] == name]

    def attributes(self, name):
        """Return the attributes of each element with this tag name."""
        return [attributes for _, attributes, _ in self.of(name)]

    def words(self, name):
        """Return the stripped text of each element with this tag name."""
        return [text.strip() for _, _, text in self.of(name)]


def faults_of(text):
    """Return what is wrong with an HTML page: errors of its syntax, and obstacles for readers.

    A reader may use a keyboard or a screen reader: images and figures need a description, tables
    need headers with a scope, headings must not skip a level.
    """
    parser = html5lib.HTMLParser()
    parser.parse(text)
    faults = [f"{code} at {position}" for position, code, _ in parser.errors]
    read = ParsedPage(text)
    ids = Counter(attributes["id"] for _, attributes, _ in read.elements if "id" in attributes)
    faults += [f"{n} elements with the id {name}" for name, n in ids.items() if n > 1]
    references = re.findall(r'(?:url\(|href=")#([^")]+)', text)
    faults += [f"no element with the id {name}" for name in set(references) - set(ids)]
    if read.attributes("html") != [{"lang": "en"}]:
        faults.append("no language")
    described = [("img", "alt"), ("svg", "aria-label"), ("circle", "aria-label")]
    described += [("th", "scope")]
    for name, key in described:
        known = [a for a in read.attributes(name) if name != "circle" or "tabindex" in a]
        faults += [f"a {name} without {key}" for a in known if not a.get(key)]
    n_tables, n_captions = len(read.of("table")), len(read.of("caption"))
    if n_tables != n_captions:
        faults.append(f"{n_tables} tables with {n_captions} captions")
    levels = [int(name[1]) for name, _, _ in read.elements if re.fullmatch("h[1-6]", name)]
    if levels[:1] != [1] or levels.count(1) != 1:
        faults.append("not one heading of the page")
    faults += [f"h{a} before h{b}" for a, b in pairwise(levels) if b > a + 1]
    unnamed = ("div", "span", "p")  # elements that cannot have a name without a role
    for name in unnamed:
        named = (a for a in read.attributes(name) if "aria-label" in a and "role" not in a)
        faults += [f"a {name} with a name but no role: {a}" for a in named]
    stops = [a for _, a, _ in read.elements if int(a.get("tabindex", 0)) > 0]
    faults += [f"an order of its own: {a}" for a in stops]
    return faults
