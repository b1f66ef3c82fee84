"""The tags, texts and tables of an HTML page, for tests."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The tags, texts and tables of a page; the text of a cell is all that stands in it."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.rows, self.cell = [], [], [], None
        self.texts, self.headings = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "h4", "h5"):
            self.headings.append(int(tag[1]))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"<{tag}> is closed out of turn"

    def handle_data(self, data):
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def row(self, name):
        """The first row whose first cell is this, without the spaces around the texts of its cells."""
        return next(r for r in map(_words, self.rows) if r and r[0] == name)

    @property
    def text(self):
        return " ".join(self.texts)


def _words(row):
    return [" ".join(cell.split()) for cell in row]
