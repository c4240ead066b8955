"""Step `train`: from the features to a checkpoint, to be taken up again wherever it was ended."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from tools.micro.batches import Batch, Mixture, Rounds
from tools.micro.corpus import Corpus, load_corpus
from tools.micro.ctranslate import read_weights
from tools.micro.model import Shape, Whisper
from tools.micro.vocabulary import CHARACTERS, SIZE, TEXT_TOKENS, Rows

ALIGNMENT_HEADS = 2
LABEL_SMOOTHING = 0.01
ALIGNMENT_WEIGHT = 0.4
ALIGNMENT_SLACK = 1.5
# How often the decoder is told that another word came before, so that it listens instead of completing sentences.
MISHEARD_SHARE = 0.1


@dataclass(frozen=True)
class Recipe:
    """How long and how: training ends at `steps` or after `minutes`, whichever is first, at a rate of almost zero."""

    work: Path
    shape: Shape
    steps: int
    minutes: float
    rate: float
    warm_up: int
    mixture: Mixture
    ctc_weight: float
    workers: int
    threads: int
    begin_with: Path | None
    save_every_s: float = 120.0
    report_every_s: float = 30.0


@dataclass
class State:
    """What a checkpoint holds besides weights and moments."""

    step: int = 0
    seconds: float = 0.0
    round: int = 0


class Trainer:
    """The network with its optimizer, on a GPU when there is one."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(0)
        self.recipe = recipe
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.corpus = load_corpus(recipe.work / "data", recipe.work / "features")
        rows = self.corpus.rows
        self.model = Whisper(recipe.shape, rows=rows.other + 1, characters=len(CHARACTERS) + 1)
        if recipe.begin_with:
            begin_with(self.model, recipe.begin_with, rows)
        self.model.to(self.device)
        self.optimizers = optimizers(self.model)
        self.state = State()
        self._take_up()

    @property
    def checkpoint(self) -> Path:
        return self.recipe.work / "checkpoint.pt"

    def run(self) -> None:
        """Trains to the end of the recipe."""
        print(describe(self.corpus), f"on {self.device}", flush=True)
        recipe = self.recipe
        rounds = Rounds(self.corpus, recipe.mixture, first=self.state.round)
        ahead = 8 if recipe.workers else None
        loader = DataLoader(rounds, batch_size=None, num_workers=recipe.workers, prefetch_factor=ahead)
        batches = iter(loader)
        losses: list[Tensor] = []
        since = saved = time.monotonic()
        while (progress := self._progress()) < 1:
            began = time.monotonic()
            batch = next(batches)
            losses.append(self._step(batch, self._rate(progress)))
            self.state.step += 1
            self.state.round = batch.round
            self.state.seconds += time.monotonic() - began
            if (passed := time.monotonic() - since) > recipe.report_every_s:
                self._report(torch.stack(losses).mean(0), progress, passed / len(losses))
                losses, since = [], time.monotonic()
            if time.monotonic() - saved > recipe.save_every_s:
                self.save()
                saved = time.monotonic()
        self.save()

    def save(self) -> None:
        """Replaces weights.pt, which conversion reads, and the rest that training needs to go on."""
        weights = {
            "model": self.model.state_dict(),
            "shape": asdict(self.recipe.shape),
            "tokens": self.corpus.rows.tokens,
        }
        _replace(self.recipe.work / "weights.pt", weights)
        rest = {"optimizers": [one.state_dict() for one in self.optimizers], "state": asdict(self.state)}
        _replace(self.checkpoint, weights | rest)

    def _take_up(self) -> None:
        if not self.checkpoint.exists():
            return
        saved = torch.load(self.checkpoint, map_location=self.device)
        if saved["tokens"] != self.corpus.rows.tokens:
            raise SystemExit("the checkpoint was trained on other data: delete it to begin anew")
        self.model.load_state_dict(saved["model"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        self.state = State(**saved["state"])
        self.state.round += 1

    def _progress(self) -> float:
        return max(self.state.step / self.recipe.steps, self.state.seconds / 60 / self.recipe.minutes)

    def _rate(self, progress: float) -> float:
        warmth = min(1.0, (self.state.step + 1) / self.recipe.warm_up)
        return self.recipe.rate * warmth * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))

    def _step(self, batch: Batch, rate: float) -> Tensor:
        losses = self._losses(batch)
        weights = torch.tensor([1.0, self.recipe.ctc_weight, ALIGNMENT_WEIGHT], device=self.device)
        self.model.zero_grad()
        (losses * weights).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        return losses.detach().cpu()

    def _losses(self, batch: Batch) -> Tensor:
        """Cross-entropy of the tokens, CTC of the characters, and how little the alignment heads look at the word."""
        tokens, targets = batch.tokens.to(self.device), batch.targets.to(self.device)
        with self._half_precision():
            audio = self.model.encoder(batch.spectra.to(self.device))
            states, attention = self.model.decoder(self._mishear(tokens), audio)
        asked = targets >= 0
        logits = states[asked].float() @ self.model.decoder.embeddings.weight.T
        # The last row stands for this many tokens in the softmax over the whole vocabulary.
        others = torch.zeros(logits.size(1), device=self.device)
        others[-1] = math.log(SIZE - logits.size(1) + 1)
        tokens_loss = F.cross_entropy(logits + others, targets[asked], label_smoothing=LABEL_SMOOTHING)
        return torch.stack([tokens_loss, self._ctc(audio, batch), self._alignment(attention, batch)])

    def _mishear(self, tokens: Tensor) -> Tensor:
        """Some words of the text replaced by any other."""
        words = sum(token < TEXT_TOKENS for token in self.corpus.rows.tokens)
        chosen = (torch.rand(tokens.shape, device=self.device) < MISHEARD_SHARE) & (tokens < words)
        return torch.where(chosen, torch.randint_like(tokens, words), tokens)

    def _ctc(self, audio: Tensor, batch: Batch) -> Tensor:
        read = self.model.helper(audio.float()).log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(
            read,
            batch.characters.to(self.device),
            batch.audio_lengths.to(self.device),
            batch.character_lengths.to(self.device),
            zero_infinity=True,
        )

    def _alignment(self, attention: Tensor, batch: Batch) -> Tensor:
        begin, end = batch.begin.to(self.device)[..., None], batch.end.to(self.device)[..., None]
        position = torch.arange(attention.size(-1), device=self.device)
        inside = (position >= begin - ALIGNMENT_SLACK) & (position <= end + ALIGNMENT_SLACK)
        inside &= begin >= 0
        looked = (attention[:, :ALIGNMENT_HEADS].float() * inside[:, None]).sum(-1)
        spoken = (begin[..., 0] >= 0)[:, None].expand_as(looked)
        if not spoken.any():
            return attention.new_zeros((), dtype=torch.float32)
        return -(looked[spoken] + 1e-3).log().mean()

    def _half_precision(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, torch.bfloat16)

    def _report(self, losses: Tensor, progress: float, seconds: float) -> None:
        tokens, ctc, alignment = losses.tolist()
        print(
            f"{time.strftime('%H:%M:%S')} step {self.state.step} {progress:.1%} tokens {tokens:.3f} ctc {ctc:.3f} "
            f"alignment {alignment:.3f} rate {self._rate(progress):.1e} {seconds:.2f} s a step",
            flush=True,
        )


def optimizers(model: Whisper) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, which it teaches in half the steps, AdamW for all else."""
    matrices = {name for name, weight in model.named_parameters() if weight.ndim == 2 and ".layer_" in name}
    inner = [weight for name, weight in model.named_parameters() if name in matrices]
    outer = [weight for name, weight in model.named_parameters() if name not in matrices]
    return [
        torch.optim.Muon(inner, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    ]


def begin_with(model: Whisper, source: Path, rows: Rows) -> None:
    """Takes every weight of the same name and size from a CTranslate2 model."""
    weights = read_weights(source)
    table = torch.from_numpy(weights.pop("decoder.embeddings.weight"))
    unused = sorted(set(range(50_000)) - set(rows.tokens))
    weights["decoder.embeddings.weight"] = torch.cat([table[rows.tokens], table[unused].mean(0, keepdim=True)]).numpy()
    weights["decoder.position_encodings"] = weights.pop("decoder.position_encodings.encodings")
    own = model.state_dict()
    taken = {name: torch.from_numpy(value.copy()) for name, value in weights.items() if name in own}
    missing = sorted(set(own) - set(taken))
    model.load_state_dict(own | taken)
    print(f"begin with {len(taken)} arrays of {source}; without {missing}", flush=True)


def _replace(path: Path, content: dict[str, object]) -> None:
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def describe(corpus: Corpus) -> str:
    """How much there is to learn from."""
    lines = [line for group in corpus.groups.values() for line in group]
    hours = sum(line.frames for line in lines) / 360_000
    words = {word.strip(",.?!¿¡").lower() for line in lines for word in line.text.split()}
    return f"{len(lines)} sentences, {hours:.1f} h, {len(words)} words, {corpus.rows.other} tokens"


def train(recipe: Recipe) -> None:
    """Runs the recipe."""
    torch.set_num_threads(recipe.threads)
    Trainer(recipe).run()
