"""Code digests: what the code does counts, in whichever module; how it is written about does not."""

import ast

import pytest

from diffusion_bert import digests
from diffusion_bert.digests import code_digest, third_party_imports


@pytest.fixture
def library(tmp_path):
    package = tmp_path / "diffusion_bert"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text('"""A package."""\n')
    (package / "sub/__init__.py").write_text("")
    (package / "a.py").write_text("from diffusion_bert.sub import b\n\n\ndef f():\n    return b.g()\n")
    body = 'def g():\n    """Doc."""\n    return json.dumps(1)\n'
    (package / "sub/b.py").write_text('"""B."""\n\nimport json\n\n\n' + body)
    (package / "other.py").write_text("X = 1\n")
    (tmp_path / "script.py").write_text("import numpy as np\nfrom diffusion_bert.a import f\n")
    return tmp_path


def digest(library):
    forget()
    return code_digest(library / "script.py", library)


def forget():
    """As a new process."""
    for cached in (digests._read, digests._others, digests._imports, digests._path_of):
        cached.cache_clear()
    digests._known.clear()


@pytest.mark.parametrize(
    ("path", "old", "new", "counts"),
    [
        ("diffusion_bert/sub/b.py", "dumps(1)", "dumps(2)", True),
        ("diffusion_bert/a.py", "b.g()", "b.g() + ''", True),
        ("diffusion_bert/sub/__init__.py", "", "Y = 2\n", True),
        ("script.py", "import numpy as np\n", "import numpy as np\n\nZ = 3\n", True),
        ("diffusion_bert/other.py", "X = 1", "X = 2", False),
        ("diffusion_bert/sub/b.py", '"""Doc."""', '"""Another."""', False),
        ("diffusion_bert/sub/b.py", '"""B."""', '"""C."""\n\n# A remark.', False),
        ("diffusion_bert/a.py", "    return b.g()", "    return   b.g()  # why", False),
    ],
)
def test_what_counts(library, path, old, new, counts):
    before = digest(library)
    file = library / path
    file.write_text(file.read_text().replace(old, new, 1))
    assert (digest(library) != before) is counts


def test_pages_and_styles_beside_a_module_count(library):
    (library / "diffusion_bert/sub/page.j2").write_text("<p>")
    before = digest(library)
    (library / "diffusion_bert/sub/page.j2").write_text("<b>")
    assert digest(library) != before


def test_third_party_imports_are_found_at_any_depth(library):
    digest(library)
    assert third_party_imports(library / "script.py", library) == {"numpy", "json"}


def test_what_is_remembered_spares_the_parsing_and_changes_nothing(library, tmp_path, monkeypatch):
    memory = tmp_path / "deep" / "code.json"
    first = digest(library)
    digests.remember(memory)
    (library / "diffusion_bert/a.py").write_text("from diffusion_bert.sub import b\n\n\ndef f():\n    return 2\n")
    changed = digest(library)
    forget()
    digests.recall(memory)
    parsed, parse = [], ast.parse
    monkeypatch.setattr(ast, "parse", lambda content: parsed.append(content) or parse(content))
    assert code_digest(library / "script.py", library) == changed != first
    assert len(parsed) == 1, "only the file that changed"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"a": {"digest": "x"}}', None])
def test_a_damaged_memory_is_as_none(library, tmp_path, content):
    memory = tmp_path / "code.json"
    if content is not None:
        memory.write_text(content)
    right = digest(library)
    forget()
    digests.recall(memory)
    assert code_digest(library / "script.py", library) == right


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path):
    (tmp_path / "file").write_text("")
    digests.remember(tmp_path / "file" / "code.json")
