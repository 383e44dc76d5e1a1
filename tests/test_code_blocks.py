"""The finder of code blocks, on which the tests of README and docs rely."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.code_blocks import code_blocks

MARKDOWN = """\
Text.

```python
print("one")
```

1. In a list:

   ```python title="x"
   if True:
       print("two")
   ```

```sh
make demo
```

````md
```python
shown, not run
```
````

```
python
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(MARKDOWN, "utf-8")
    return path


def test_blocks_have_text_and_line(page: Path) -> None:
    assert [('print("one")\n', 4), ('if True:\n    print("two")\n', 10)] == [
        (block.text, block.line) for block in code_blocks(page, "python")
    ]
    assert ["make demo\n"] == [block.text for block in code_blocks(page, "sh", "console")]


def test_no_file_has_no_blocks(tmp_path: Path) -> None:
    assert [] == code_blocks(tmp_path / "missing.md", "python")


def test_block_runs_on_its_own(page: Path, tmp_path: Path) -> None:
    assert ["one\n", "two\n"] == [block.run(tmp_path) for block in code_blocks(page, "python")]


def test_failing_block_is_shown_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```python\nprint('before')\n1 / 0\n```\n", "utf-8")
    (block,) = code_blocks(page, "python")
    with pytest.raises(AssertionError, match=r"(?s)page.md:4 failed:\nbefore\n.*line 5.*ZeroDivisionError"):
        block.run(tmp_path)
