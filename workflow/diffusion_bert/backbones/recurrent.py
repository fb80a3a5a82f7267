"""A recurrent masked language model over single bases, from scratch, that predicts each base from all others.

Two streams of LSTM layers (Hochreiter and Schmidhuber 1997) read a window from either end; what the left one has read
before a base and what the right one has read after it are mixed into the prediction of that base, which neither has
seen (as in ELMo, Peters et al. 2018, arXiv:1802.05365, and in the blind-spot networks of Laine et al. 2019,
arXiv:1901.10277). So one pass predicts every base, masked or not, from the others: training learns from all of them,
where other masked language models learn from those that are masked (``diffusion``).

Both streams are one set of weights: the right one reads the reverse complement, so that a motif learned on one strand
is known on the other. They may read each base with the k-mer that ends at it, which has an embedding of its own (as in
Huang et al. 2025, "Over-Tokenized Transformer", arXiv:2501.16975): memory that costs a look-up, where it would cost the
LSTM width. It is for many windows and few passes, since it remembers more than what they have in common.

The streams may read different things. Where the right one sees only masks, the base at i is predicted from the bases on
its left: p(x) is then the product of the predictions, exact, and from one pass. ``Walk`` draws that way at the cost of
three passes a sequence, however long it is.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad
from transformers import PretrainedConfig
from transformers.modeling_outputs import MaskedLMOutput

from diffusion_bert.backbones.bases import AROUND, BEFORE, ModelOfBases, places


class RecurrentConfig(PretrainedConfig):
    """vocab_size, pad_token_id and mask_token_id as the tokenizer's; complement: the ids of A, C, G, T and of their
    complements; positions: the longest trained window, in tokens of DNA; embedded: channels that a token is read as;
    kmer: how many bases the k-mers have that a base is read with, 0 for none; width: of each LSTM layer; layers: of
    each stream; mixed: channels of what the two streams are mixed into; expansion: of its feed-forward layer.
    """

    model_type = "diffusion_bert_recurrent"
    attribute_map = {"hidden_size": "mixed"}

    def __init__(
        self,
        vocab_size: int = 10,
        pad_token_id: int = 0,
        mask_token_id: int = 3,
        complement: tuple[tuple[int, ...], tuple[int, ...]] = ((5, 6, 7, 8), (8, 7, 6, 5)),
        positions: int = 200,
        embedded: int = 32,
        kmer: int = 0,
        width: int = 336,
        layers: int = 1,
        mixed: int = 128,
        expansion: int = 2,
        dropout: float = 0.0,
        **kwargs,
    ):
        self.vocab_size = vocab_size
        self.mask_token_id = mask_token_id
        self.complement = [list(ids) for ids in complement]
        self.positions = positions
        self.embedded = embedded
        self.kmer = kmer
        self.width = width
        self.layers = layers
        self.mixed = mixed
        self.expansion = expansion
        self.dropout = dropout
        super().__init__(pad_token_id=pad_token_id, **kwargs)


class RecurrentForMaskedLM(ModelOfBases):
    """See ``ModelOfBases``; logits and state of a token are those that all others of its row give."""

    config_class = RecurrentConfig
    base_model_prefix = "recurrent"
    leave_one_out = True

    def __init__(self, config: RecurrentConfig):
        super().__init__(config)
        between = config.dropout if config.layers > 1 else 0.0
        self.tokens = nn.Embedding(config.vocab_size, config.embedded)
        if config.kmer:
            self.kmers = nn.Embedding(4**config.kmer + 1, config.embedded)
        self.stream = nn.LSTM(config.embedded, config.width, config.layers, batch_first=True, dropout=between)
        self.label = nn.Embedding(config.vocab_size, config.mixed)
        self.position = nn.Embedding(config.positions + AROUND, config.mixed)
        # One layer over both streams; apart, since the right one has nothing to say of most rows of a batch.
        self.of_left = nn.Linear(config.width, config.mixed)
        self.of_right = nn.Linear(config.width, config.mixed, bias=False)
        self.ffn_norm = nn.LayerNorm(config.mixed)
        self.ffn_in = nn.Linear(config.mixed, config.expansion * config.mixed)
        self.ffn_out = nn.Linear(config.expansion * config.mixed, config.mixed)
        self.dropout = nn.Dropout(config.dropout)
        self.norm = nn.LayerNorm(config.mixed)
        self.head = nn.Linear(config.mixed, config.vocab_size)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.LSTM):
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -(module.hidden_size**-0.5), module.hidden_size**-0.5)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        right_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **unused,
    ) -> MaskedLMOutput:
        """right_ids (b, T), b <= B: what the right stream reads of the first b rows, framed and padded as input_ids
        are; of the others it sees nothing. Without it both streams read input_ids."""
        if attention_mask is None:
            attention_mask = (input_ids != self.config.pad_token_id).long()
        right_ids = input_ids if right_ids is None else right_ids
        label, n = input_ids[:, 1], len(right_ids)
        turned = self.turned(right_ids, attention_mask[:n])
        states = self.stream(self._read(torch.cat([input_ids, turned]), torch.cat([label, label[:n]])))[0]
        left = self.of_left(states[: len(label)])
        right = self.right(states[len(label) :], turned, attention_mask[:n])
        known = torch.cat([left[:n] + right, left[n:]])
        h = self.joined(known, label, places(attention_mask, self.config.positions))
        return MaskedLMOutput(logits=self.head(h), hidden_states=(h,) if output_hidden_states else None)

    def from_left(self, input_ids: Tensor, attention_mask: Tensor) -> MaskedLMOutput:
        """As ``forward``, of each token given those on its left alone."""
        return self(input_ids, attention_mask, right_ids=input_ids[:0])

    def walk(self, input_ids: Tensor, attention_mask: Tensor) -> "Walk":
        """Framed rows (B, T), all of one length, from left to right."""
        return Walk(self, input_ids, attention_mask)

    def right(self, states: Tensor, turned: Tensor, attention_mask: Tensor) -> Tensor:
        """What the right stream has to say (B, T, C) at each place of the strand as written, from its states
        (B, T, W) of reverse complements turned (B, T): nothing where it has seen nothing but masks."""
        seen = pad(turned[:, BEFORE:-1] != self.config.mask_token_id, (BEFORE + 1, 0)).cumsum(-1) > 0
        return self._mirrored(self.of_right(states) * seen.unsqueeze(-1), attention_mask)

    def joined(self, known: Tensor, label: Tensor, place: Tensor) -> Tensor:
        """The states (B, T, C) that logits are read from: known (B, T, C), what the streams' states add up to;
        label (B,); place (B, T), as ``places`` gives it."""
        h = known + self.label(label).unsqueeze(1) + self.position(place)
        return self.norm(h + self.dropout(self.ffn_out(gelu(self.ffn_in(self.ffn_norm(self.dropout(h)))))))

    def turned(self, ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The reverse complements (B, T) of the DNA of framed rows, each in its frame."""
        opposite = ids
        for base, other in zip(
            *self.config.complement, strict=True
        ):  # numbers, and no table that would have to be copied
            opposite = torch.where(ids == base, other, opposite)
        place = torch.arange(ids.shape[1], device=ids.device)
        end = attention_mask.sum(-1, keepdim=True) - 1  # where [SEP] is
        dna = (place >= BEFORE) & (place < end)
        return opposite.gather(1, torch.where(dna, end + BEFORE - 1 - place, place))

    def _read(self, ids: Tensor, labels: Tensor) -> Tensor:
        """What a stream is given at each place (B, T, E): the token before it, the k-mer before it, and the label."""
        before = pad(ids[:, :-1], (1, 0), value=self.config.pad_token_id)
        given = self.tokens(before) + self.tokens(labels).unsqueeze(1)
        return given + self.kmers(self._kmers_of(before)) if self.config.kmer else given

    def _kmers_of(self, ids: Tensor) -> Tensor:
        """The k-mer (B, T) that ends at each place of ids (B, T), as a number to the base 4; 4**k where one of its
        tokens is no A, C, G or T."""
        digits = torch.full_like(ids, 4)
        for digit, base in enumerate(self.config.complement[0]):
            digits = torch.where(ids == base, digit, digits)
        kmers = pad(digits, (self.config.kmer - 1, 0), value=4).unfold(-1, self.config.kmer, 1)
        number = (kmers * 4 ** torch.arange(self.config.kmer, device=ids.device)).sum(-1)
        return torch.where((kmers < 4).all(-1), number, 4**self.config.kmer)

    @staticmethod
    def _mirrored(states: Tensor, attention_mask: Tensor) -> Tensor:
        """States (B, T, C) of reverse complements, each moved to the place on the strand as written that it is of."""
        length = attention_mask.sum(-1, keepdim=True)
        place = (length - torch.arange(states.shape[1], device=states.device)).clamp(min=0)
        place = torch.minimum(place, length - 1)
        return states.gather(1, place.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


class Walk:
    """Rows from left to right, one place after the other: logits of a base from those read so far and from what lies to
    its right, which stays as it is.

    Both streams read their rows once: the right one at the start, the left one a base at a time. What is predicted is
    what the model's ``forward`` would predict there from the same bases. input_ids, attention_mask: (B, T), framed, all
    of one length.
    """

    def __init__(self, model: RecurrentForMaskedLM, input_ids: Tensor, attention_mask: Tensor):
        self.model = model
        self.ids, self.label = input_ids.clone(), input_ids[:, 1]
        self.place = places(attention_mask, model.config.positions)
        turned = model.turned(input_ids, attention_mask)
        self.right = model.right(model.stream(model._read(turned, self.label))[0], turned, attention_mask)
        read, self.state = model.stream(model._read(input_ids[:, : BEFORE + 1], self.label))
        self.left, self.at = read[:, -1:], BEFORE

    def logits(self, rows: Tensor) -> Tensor:
        """(b, V) of rows (b,) at the place that the walk has come to."""
        here = slice(self.at, self.at + 1)
        known = self.model.of_left(self.left[rows]) + self.right[rows, here]
        h = self.model.joined(known, self.label[rows], self.place[rows, here])
        return self.model.head(h[:, 0])

    def read(self, ids: Tensor) -> None:
        """Go on to the next place: ids (B,), the tokens at this one."""
        self.ids[:, self.at] = ids
        self.at += 1
        seen = self.ids[:, max(0, self.at - max(1, self.model.config.kmer)) : self.at + 1]
        self.left, self.state = self.model.stream(self.model._read(seen, self.label)[:, -1:], self.state)
