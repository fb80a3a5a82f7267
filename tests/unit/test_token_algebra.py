"""Bases, k-mers and BPE: what they share, against brute force and the published tokenizers."""

import csv
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_bert.digests import imported_modules
from diffusion_bert.errors import UserError
from diffusion_bert.tokens import (
    AMBIGUOUS,
    BASES,
    BaseTokenizer,
    BpeTokenizer,
    KmerTokenizer,
    load_tokenizer,
)

FIXTURES = Path(__file__).parents[3] / "shared" / "backbones"
PUBLISHED = {"dnabert2": FIXTURES / "dnabert2" / "tokenizer", "nt_v2": FIXTURES / "nt_v2" / "tokenizer"}
on_fixtures = pytest.mark.skipif(
    not all(folder.is_dir() for folder in PUBLISHED.values()),
    reason="the published tokenizers are not beside this checkout",
)
IUPAC = {
    **{base: base for base in BASES},
    "N": "ACGT",
    "R": "AG",
    "Y": "CT",
    "S": "CG",
    "W": "AT",
    "K": "GT",
    "M": "AC",
    "B": "CGT",
    "D": "AGT",
    "H": "ACT",
    "V": "ACG",
}


@cache
def tokenizer(kind):
    if kind == "bases":
        return BaseTokenizer(["a", "b"])
    if kind == "bpe":
        rng = np.random.default_rng(1)
        training = ["".join(rng.choice(["ACG", "TTGA", "C", "AAT"], 30)) for _ in range(100)]
        return BpeTokenizer.trained(training, 60, ["a", "b"])
    return KmerTokenizer(int(kind[0]), ["a", "b"])


KINDS = ["bases", "3-mers", "6-mers", "bpe"]
each_kind = pytest.mark.parametrize("kind", KINDS)
dna = st.text(alphabet="ACGT", max_size=60)
with_unknown = st.text(alphabet="ACGTN", min_size=1, max_size=60)


@each_kind
@given(st.lists(dna, max_size=5))
def test_decoding_undoes_encoding(kind, sequences):
    assert tokenizer(kind).decode(tokenizer(kind).encode(sequences)) == sequences


@each_kind
@given(st.lists(with_unknown, min_size=1, max_size=5))
def test_unknown_bases_are_one_token_each(kind, sequences):
    t = tokenizer(kind)
    ids = t.encode(sequences)
    assert t.decode(ids) == sequences
    assert (ids == t.unk_id).sum(axis=1).tolist() == [s.count("N") for s in sequences]


@each_kind
def test_ambiguous_letters_are_unknown_bases(kind):
    t = tokenizer(kind)
    assert t.encode([AMBIGUOUS]).tolist() == [[t.unk_id] * len(AMBIGUOUS)]
    assert t.decode(t.encode(["ARYTKKC"])) == ["ANNTNNC"]


@each_kind
@pytest.mark.parametrize("wrong", ["ACgT", "AC-T", "AC T", "ACU"])
def test_other_letters_are_refused(kind, wrong):
    with pytest.raises(UserError, match=r"sequence 2: .* at position 3"):
        tokenizer(kind).encode(["ACGT", wrong])


@each_kind
def test_what_may_be_predicted_spells_dna_and_labels_come_last(kind):
    t = tokenizer(kind)
    assert t.tokens[-3:] == ["[NO_LABEL]", "[label:a]", "[label:b]"]
    assert t.label_ids == {"a": t.no_label_id + 1, "b": t.no_label_id + 2}
    for i, token in enumerate(t.tokens):
        assert t.is_base[i] == (token != "" and set(token) <= set(BASES))
        assert t.known_bases[i] == (len(token) if t.is_base[i] else 0)
    more = t.with_labels(["c", "a"])
    assert more.tokens == [*t.tokens, "[label:c]"]
    assert more.encode(["ACGTNACGTAC"]).tolist() == t.encode(["ACGTNACGTAC"]).tolist()


@each_kind
@given(st.text(alphabet="".join(IUPAC), min_size=1, max_size=12), st.integers(0, 12))
def test_tokens_that_fit_a_template(kind, template, offset):
    t = tokenizer(kind)
    offset = min(offset, len(template))
    expected = [
        bool(t.is_base[i])
        and offset + len(token) <= len(template)
        and all(base in IUPAC[letter] for base, letter in zip(token, template[offset:], strict=False))
        for i, token in enumerate(t.tokens)
    ]
    assert t.fits(template, offset).tolist() == expected


def test_templates_that_cannot_be_read():
    with pytest.raises(UserError, match="the template's position 3 is 'x'"):
        BaseTokenizer().fits("ACx", 0)
    with pytest.raises(ValueError, match="outside"):
        BaseTokenizer().fits("ACG", 4)


@pytest.mark.parametrize("kind", ["bases", "3-mers", "6-mers"])
@pytest.mark.parametrize("length", [1, 2, 5, 6, 7, 12, 17, 200])
def test_the_layout_is_that_of_any_sequence_of_its_length(kind, length):
    t = tokenizer(kind)
    rng = np.random.default_rng(length)
    ids = t.encode(["".join(rng.choice(list(BASES), length)) for _ in range(5)])
    assert (t.bases_per_token[ids] == t.layout(length)).all()


def test_bpe_has_no_layout():
    assert tokenizer("bpe").layout(10) is None


@pytest.mark.parametrize(
    ("sequence", "spelled"),
    [
        ("ACGTACG", ["ACGTAC", "G"]),
        ("ACGTA", list("ACGTA")),
        ("ACGTANCGTACGT", [*"ACGTA", "N", "CGTACG", "T"]),
        ("NNACGTAC", ["N", "N", "ACGTAC"]),
    ],
)
def test_k_mers_begin_anew_behind_an_unknown_base(sequence, spelled):
    t = tokenizer("6-mers")
    assert [t.spelled[i] for i in t.encode([sequence])[0]] == spelled


@pytest.mark.parametrize("k", [2, 3, 6])
@given(st.lists(with_unknown | dna, max_size=6))
def test_k_mers_are_what_a_regular_expression_finds(k, sequences):
    t = tokenizer(f"{k}-mers")
    found = [[t.spelled[i] for i in row if i != t.pad_id] for row in t.encode(sequences)]
    assert found == [re.findall(f"[ACGT]{{{k}}}|.", sequence) for sequence in sequences]


def test_k_mers_have_no_closing_token():
    t = KmerTokenizer(6, ["a"])
    ids, attention = t.frame(t.encode(["ACGTACG", "A"]), ["a", None])
    assert ids.tolist() == [[3, 4108, 728, 4105], [3, 4107, 4102, 1]]
    assert attention.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert t.decode(ids) == ["ACGTACG", "A"]
    assert ids[:, t.content].tolist() == [[728, 4105], [4102, 1]]


@pytest.mark.parametrize("k", [1, 9])
def test_k_out_of_range(k):
    with pytest.raises(UserError, match=f"k-mers of k = {k}"):
        KmerTokenizer(k)


@each_kind
def test_saved_and_opened(kind, tmp_path):
    from transformers import PreTrainedTokenizerFast

    t = tokenizer(kind)
    t.save(tmp_path)
    again = load_tokenizer(tmp_path)
    sequences = ["ACGTNACGTACGTTGAAAT", "TTGACA", "RACGT"]
    assert type(again) is type(t)
    assert (again.tokens, again.labels) == (t.tokens, t.labels)
    assert again.encode(sequences).tolist() == t.encode(sequences).tolist()
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    ids, attention = t.frame(t.encode(sequences), [None] * 3)
    batch = theirs(sequences, padding=True)
    assert batch["input_ids"] == ids.tolist()
    assert batch["attention_mask"] == attention.tolist()
    for label in t.labels:
        ids, _ = t.frame(t.encode(["ACGTACGTN"]), [label])
        text = f"{t.special['cls']}[label:{label}]ACGTACGTN{t.special['sep'] or ''}"
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids[0].tolist()
    assert (theirs.pad_token_id, theirs.mask_token_id, theirs.cls_token_id) == (t.pad_id, t.mask_id, t.cls_id)
    assert theirs.unk_token_id == t.tokens.index("<unk>" if isinstance(t, KmerTokenizer) else "[UNK]")


def test_bpe_is_the_same_from_the_same_sequences():
    rng = np.random.default_rng(4)
    many = ["".join(rng.choice(list(BASES), 100)) for _ in range(100)]  # most merges are as frequent as others
    assert BpeTokenizer.trained(many, 400).tokens == BpeTokenizer.trained(many, 400).tokens


def test_bpe_has_the_ids_of_dnabert2_and_no_merge_across_unknown_bases():
    sequences = ["ACGTACGTTTGACA", "TTGACANNACGTACGT"] * 20
    made = [BpeTokenizer.trained(sequences, 16).tokens]
    assert made[0][:9] == ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *BASES]
    assert not any("N" in token for token in made[0][5:16])


@pytest.mark.parametrize(("size", "message"), [(4000, "Ask for .* or train it on more"), (7, "Ask for at least 9")])
def test_bpe_of_a_size_that_cannot_be(size, message):
    with pytest.raises(UserError, match=message):
        BpeTokenizer.trained(["ACGTACGT"] * 3, size)


def test_bpe_in_parts_is_bpe_at_once(monkeypatch):
    t = tokenizer("bpe")
    sequences = ["ACGTTGA", "", "N", "TTGATTGA", "ACGACGN"]
    whole = t.encode(sequences).tolist()
    for size in (1, 2, 3):
        monkeypatch.setattr("diffusion_bert.tokens.bpe._AT_ONCE", size)
        assert t.encode(sequences).tolist() == whole


def edited(folder, model=(), config=(), **content):
    """The BPE tokenizer written to a folder, with other entries in its files."""
    tokenizer("bpe").save(folder)
    for name, more in (("tokenizer.json", content), ("tokenizer_config.json", dict(config))):
        written = json.loads((folder / name).read_text()) | more
        if name == "tokenizer.json":
            written["model"] |= dict(model)
        (folder / name).write_text(json.dumps(written))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"merges": [["A", "Q"]]}}, "cannot read it: Token `Q` out of vocabulary"),
        ({"pre_tokenizer": {"type": "Other"}}, "cannot read it"),
        ({"config": {"labels": ["b", "a"]}}, "have different labels"),
        ({"config": {"labels": ["a"]}}, "have different labels"),
        ({"config": {"mask_token": None}}, "it has no token for mask"),
        ({"config": {"mask_token": "<mask>"}}, "it has no token for <mask>"),
        ({"model": {"type": "Unigram"}}, "its model is Unigram; bases, k-mers or BPE were expected"),
    ],
)
def test_bpe_files_that_do_not_make_sense_are_refused(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        load_tokenizer(edited(tmp_path, **changes))


def test_bpe_ids_with_gaps_are_refused(tmp_path):
    vocabulary = {token: i for i, token in enumerate(tokenizer("bpe").tokens[:60])}
    with pytest.raises(UserError, match="its ids have gaps"):
        load_tokenizer(edited(tmp_path, model={"vocab": vocabulary | {"CCCCCC": 99}}))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"normalizer": {"type": "Lowercase"}}, 2),
        ({"normalizer": {"type": "Replace", "pattern": {"String": "A"}, "content": "C"}}, 3),
        ({"normalizer": {"type": "Replace", "pattern": {"String": "A"}, "content": "AA"}}, 3),
        ({"model": {"fuse_unk": True}}, 3),
    ],
)
def test_tokens_that_spell_another_sequence_are_refused(changes, wrong, tmp_path):
    t = load_tokenizer(edited(tmp_path, **changes))
    with pytest.raises(UserError, match=f"the tokens of sequence {wrong} do not spell it"):
        t.encode(["", "CC", "ANNA", "ANNA"])


def test_bpe_dropout_of_a_file_is_left_off(tmp_path):
    t = load_tokenizer(edited(tmp_path, model={"dropout": 0.9}))
    sequence = "ACGTTGAACGAATTTGA" * 5
    assert t.encode([sequence]).tolist() == tokenizer("bpe").encode([sequence]).tolist()


def rows(which):
    with (PUBLISHED[which] / "strings.tsv").open() as handle:
        for row in csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield json.loads(row["string_json"]), [int(i) for i in row["ids"].split()]


@on_fixtures
@pytest.mark.parametrize("which", PUBLISHED)
def test_published_tokenizers_give_the_published_ids(which):
    published = load_tokenizer(PUBLISHED[which])
    t = published.with_labels(["K562"])
    assert published.vocab_size == {"dnabert2": 4097, "nt_v2": 4108}[which]  # and NO_LABEL
    tail = [] if t.sep_id is None else [t.sep_id]
    seen = Counter()
    for string, ids in rows(which):
        ambiguous = set(string) & set(AMBIGUOUS) - {"N"}
        if not set(string) <= set(BASES + AMBIGUOUS):
            # Out of contract: lower case, spaces, punctuation, U, X, special tokens written out.
            with pytest.raises(UserError, match="position"):
                t.encode([string])
            seen["refused"] += 1
            continue
        ours = [t.cls_id, *t.encode([string])[0].tolist(), *tail]
        if which == "nt_v2" and ambiguous:
            # Published, a run of such letters is one <unk>, whatever its length; here each is a base and reads as N.
            assert 0 in ids
            assert ours == [t.cls_id, *t.encode([re.sub("[^ACGT]", "N", string)])[0].tolist()]
            seen["read as N"] += 1
        else:
            assert ours == ids, string
            seen["the same"] += 1
    assert (
        seen
        == {
            "dnabert2": {"the same": 111, "refused": 23},
            "nt_v2": {"the same": 106, "read as N": 5, "refused": 23},
        }[which]
    )


@on_fixtures
def test_a_published_vocabulary_with_labels_is_saved(tmp_path):
    for which, folder in PUBLISHED.items():
        t = load_tokenizer(folder).with_labels(["K562"])
        (tmp_path / which).mkdir()
        t.save(tmp_path / which)
        again = load_tokenizer(tmp_path / which)
        assert again.tokens == t.tokens
        assert again.encode(["ACGTNACGGGTAC"]).tolist() == t.encode(["ACGTNACGGGTAC"]).tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("AAA AAT AAC", "the neighbours of a masked token spell the bases that it hides"),
        ("A C G T AAA AAT AAC", "the vocabulary is not that of the Nucleotide Transformer v2's 3-mers"),
        ("A C G T AAA AC GGTTA", "the vocabulary is neither single bases nor k-mers of one k"),
        ("AAA AC GGTTA", "the vocabulary is neither single bases nor k-mers of one k"),
        ("A C G T AAAAAAAAA", "the vocabulary is neither single bases nor k-mers of one k"),
        ("L A G V S E R T", "the vocabulary is not that of single bases"),
        ("the of and", "no token of the vocabulary spells DNA"),
    ],
)
def test_vocabularies_of_another_kind_are_refused_with_the_reason(words, message, tmp_path):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "vocab.txt").write_text("\n".join([*special, *words.split()]))
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path)


def test_an_edit_of_any_tokenizer_counts_for_what_uses_them():
    library = Path(__file__).parents[2] / "workflow"
    found = imported_modules(library / "diffusion_bert" / "tokens" / "__init__.py", "diffusion_bert.tokens", library)
    assert {f"diffusion_bert.tokens.{name}" for name in ("bases", "kmers", "bpe", "load", "vocabulary")} <= found
