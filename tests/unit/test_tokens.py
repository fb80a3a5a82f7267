import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_bert.errors import UserError
from diffusion_bert.tokens import AMBIGUOUS, BaseTokenizer, load_tokenizer

dna = st.text(alphabet="ACGTN", min_size=1, max_size=40)


def test_ids_are_fixed():
    tokenizer = BaseTokenizer(["GM12878", "K562"])
    assert tokenizer.tokens == [
        *("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "A", "C", "G", "T"),
        *("[NO_LABEL]", "[label:GM12878]", "[label:K562]"),
    ]
    assert (tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id, tokenizer.unk_id) == (
        0,
        1,
        2,
        3,
        4,
    )
    assert tokenizer.no_label_id == 9
    assert tokenizer.label_ids == {"GM12878": 10, "K562": 11}
    assert tokenizer.base_ids.tolist() == [5, 6, 7, 8]
    assert tokenizer.spelled == ["", "", "", "", "N", "A", "C", "G", "T", "", "", ""]
    assert tokenizer.bases_per_token.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0]
    assert tokenizer.known_bases.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0]


@given(st.lists(dna, min_size=1, max_size=5))
def test_decoding_undoes_encoding(sequences):
    tokenizer = BaseTokenizer()
    assert tokenizer.decode(tokenizer.encode(sequences)) == sequences


@given(st.lists(dna, min_size=1, max_size=5))
def test_framed_rows_decode_to_their_dna(sequences):
    tokenizer = BaseTokenizer(["a"])
    ids, attention = tokenizer.frame(tokenizer.encode(sequences), ["a"] * len(sequences))
    assert tokenizer.decode(ids) == sequences
    assert attention.sum(axis=1).tolist() == [len(s) + 3 for s in sequences]


def test_frame_of_unequal_lengths():
    tokenizer = BaseTokenizer(["x"])
    ids, attention = tokenizer.frame(tokenizer.encode(["ACGT", "GN"]), ["x", None])
    assert ids.tolist() == [[1, 10, 5, 6, 7, 8, 2], [1, 9, 7, 4, 2, 0, 0]]
    assert attention.tolist() == [[1] * 7, [1, 1, 1, 1, 1, 0, 0]]
    assert ids[:1, tokenizer.content].tolist() == [[5, 6, 7, 8]]


def test_ambiguous_letters_are_unknown_bases():
    tokenizer = BaseTokenizer()
    assert (tokenizer.encode([AMBIGUOUS]) == tokenizer.unk_id).all()
    assert tokenizer.decode(tokenizer.encode(["ARYT"])) == ["ANNT"]


def test_many_labels_need_a_wider_type():
    assert BaseTokenizer([f"l{i}" for i in range(246)]).dtype == np.uint8
    tokenizer = BaseTokenizer([f"l{i}" for i in range(300)])
    ids, _ = tokenizer.frame(tokenizer.encode(["ACGT"]), ["l299"], dtype=tokenizer.dtype)
    assert ids[0, 1] == 309


def test_no_sequences():
    assert BaseTokenizer().encode([]).shape == (0, 0)
    assert BaseTokenizer().decode(BaseTokenizer().encode([])) == []


def test_lower_case_is_refused():
    with pytest.raises(
        UserError, match=r"sequence 2: lower-case 'g' at position 3; upper-case DNA was expected\. Turn"
    ):
        BaseTokenizer().encode(["ACGT", "ACgT"])


@pytest.mark.parametrize("sequence", ["AC-T", "ACÄT", "AC T", "ACU"])
def test_what_is_no_dna_is_refused(sequence):
    with pytest.raises(UserError, match=r"sequence 1: .* at position 3 is no letter of DNA"):
        BaseTokenizer().encode([sequence])


def test_an_unknown_label_is_refused():
    tokenizer = BaseTokenizer(["K562"])
    with pytest.raises(UserError, match="label HepG2: the model was not trained on it; it knows K562"):
        tokenizer.frame(tokenizer.encode(["ACGT"]), ["HepG2"])
    with pytest.raises(UserError, match="it knows no label"):
        BaseTokenizer().label_tokens(["HepG2"])


def test_the_same_label_twice_is_a_bug():
    with pytest.raises(ValueError, match="distinct"):
        BaseTokenizer(["a", "a"])


def test_a_mask_that_is_left_is_a_bug():
    with pytest.raises(ValueError, match=r"row 1 still holds \[MASK\]"):
        BaseTokenizer().decode(np.array([[5, 5], [5, 3]]))


def test_saved_and_loaded(tmp_path):
    BaseTokenizer(["b", "a", "A"]).save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.labels == ["b", "a", "A"]
    assert loaded.tokens == BaseTokenizer(["b", "a", "A"]).tokens


def test_broken_tokenizer_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer_config\.json is missing\. Point to a model folder"):
        load_tokenizer(tmp_path)
    BaseTokenizer(["a"]).save(tmp_path)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"]["A"] = 6
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="the vocabulary is not that of single bases"):
        load_tokenizer(tmp_path)
    file.write_text("{}")
    with pytest.raises(UserError, match="not those of bases, k-mers or BPE"):
        load_tokenizer(tmp_path)


def test_transformers_opens_the_tokenizer_and_gives_the_same_ids(tmp_path):
    from transformers import PreTrainedTokenizerFast

    tokenizer = BaseTokenizer(["K562", "A", "T cell (naive)"])
    tokenizer.save(tmp_path)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    sequences = ["ACGTN", "TTGACA"]
    ours, attention = tokenizer.frame(tokenizer.encode(sequences), [None, None])
    batch = theirs(sequences, padding=True)
    assert batch["input_ids"] == ours.tolist()
    assert batch["attention_mask"] == attention.tolist()
    for label in tokenizer.labels:
        ids, _ = tokenizer.frame(tokenizer.encode(["ACGT"]), [label])
        text = f"[CLS][label:{label}]ACGT[SEP]"
        assert theirs(text, add_special_tokens=False)["input_ids"] == ids[0].tolist()
    for name in ("pad", "cls", "sep", "mask", "unk"):
        assert getattr(theirs, f"{name}_token_id") == getattr(tokenizer, f"{name}_id")
    assert theirs.decode([5, 6, 7, 8]) == "ACGT"


def test_tokens_need_no_torch():
    code = "import sys, diffusion_bert.tokens; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    from diffusion_bert import tokens

    root = tokens.__file__.rsplit("diffusion_bert", 1)[0]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
