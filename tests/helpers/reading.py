"""Pages of HTML as a browser reads them."""

from html.parser import HTMLParser


class Read(HTMLParser):
    """The elements of a page, and the words in each."""

    def __init__(self, text):
        super().__init__()
        self.elements = []  # [name, attributes, words up to the next element], in their order
        self.feed(text)

    def handle_starttag(self, name, attributes):
        self.elements.append([name, dict(attributes), ""])

    def handle_data(self, words):
        if self.elements:
            self.elements[-1][2] += words

    def of(self, name):
        """The elements of a name."""
        return [element for element in self.elements if element[0] == name]

    def attributes(self, name):
        """What the elements of a name have."""
        return [attributes for _, attributes, _ in self.of(name)]

    def words(self, name):
        """What is in the elements of a name."""
        return [words.strip() for _, _, words in self.of(name)]
