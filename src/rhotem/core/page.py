"""Pages that open from disk: one style, pictures inside, nothing from elsewhere."""

import base64
from collections.abc import Sequence
from html import escape

STYLE = """
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1b1b1b; background: #fff; max-width: 1100px;
  margin: 24px auto; padding: 0 20px; }
h1 { font-size: 22px; } h2 { font-size: 17px; margin-top: 28px; }
figure { margin: 12px 0; } img { max-width: 100%; } figcaption { color: #555; }
table { border-collapse: collapse; } th { color: #555; }
th, td { text-align: left; font-weight: normal; padding: 3px 24px 3px 0; border-bottom: 1px solid #ddd; }
pre { background: #f5f5f5; padding: 12px; overflow-x: auto; }
"""


def page(title: str, body: str) -> str:
    """A whole document; ``title`` as plain text, ``body`` as HTML."""
    head = f"<meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{escape(title)}</title>"
    head += f"<style>{STYLE}</style>"
    return f"<!DOCTYPE html>\n<html lang='en'><head>{head}</head><body>{body}</body></html>\n"


def figure(png: bytes, caption: str) -> str:
    """A picture with its caption, which is its alternative text, too."""
    content, text = base64.b64encode(png).decode(), escape(caption)
    return f"<figure><img src='data:image/png;base64,{content}' alt='{text}'><figcaption>{text}</figcaption></figure>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text."""
    cells = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{cells}</tr>{body}</table>"
