"""The picture of drift is whole, has a cell for each figure, and no name in it is markup."""

from __future__ import annotations

from xml.etree import ElementTree

from tidegate.drawing.cells import cells
from tidegate.drawing.picture import picture


def test_a_picture_of_cells_is_a_file_of_its_own() -> None:
    evil = "<script>"
    drawn = cells(
        ["temp", evil], ["Feb", "Mar"], {("temp", "Feb"): ("0.40", "bad"), (evil, "Mar"): ("<b>", "")}, label="<i>"
    )
    root = ElementTree.fromstring(picture(drawn))  # noqa: S314 -- written here
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    cell_tones = [found.get("class") for found in root.iter(f"{space}rect") if found.get("class")]
    assert cell_tones == ["cell bad", "cell "]
    texts = [found.text for found in root.iter(f"{space}text")]
    assert texts == ["Feb", "Mar", "temp", "0.40", evil, "<b>"]
