"""A raw diff of thousands of lines is a few elements, and says every line."""

from __future__ import annotations

from django.template import Context, Template


def rendered(text: str) -> str:
    return Template("{% load sallyport %}{% raw_diff text 'a' %}").render(Context({"text": text}))


def test_lines_of_one_kind_share_an_element() -> None:
    added = "\n".join(f"+line {number} <b>" for number in range(5000))
    page = rendered(f"--- before/a\n+++ after/a\n@@ -0,0 +1,5000 @@\n{added}\n same\n-gone")
    assert page.count("<span") == 5
    assert page.count("+line ") == 5000
    assert "<b>" not in page
    assert '<span class="del">-gone</span>' in page


def test_no_difference_is_said() -> None:
    assert "No bytes change." in rendered("")
