"""Parse HTML pages."""

from html.parser import HTMLParser


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
