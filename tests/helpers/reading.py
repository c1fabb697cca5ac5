"""Parse pages of HTML."""

from html.parser import HTMLParser


class Read(HTMLParser):
    """The elements of a page, with their attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.elements = []  # [name, attributes, text up to the next element], in order
        self.feed(text)

    def handle_starttag(self, name, attributes):
        self.elements.append([name, dict(attributes), ""])

    def handle_data(self, words):
        if self.elements:
            self.elements[-1][2] += words

    def of(self, name):
        """The elements with this name."""
        return [element for element in self.elements if element[0] == name]

    def attributes(self, name):
        """The attributes of the elements with this name."""
        return [attributes for _, attributes, _ in self.of(name)]

    def words(self, name):
        """The text of the elements with this name."""
        return [words.strip() for _, _, words in self.of(name)]
