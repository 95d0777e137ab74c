"""Transfer learning: initialising a network with the weights of a reader for another alphabet or image size."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

CLASSIFIER = "classifier."


def transfer(
    network: nn.Module, weights: Mapping[str, Tensor], *, known: str, alphabet: str
) -> int:
    """Initialise a network for `alphabet` with the weights of one of the same architecture for the alphabet `known`.

    The classifier takes the rows of the shared characters, and of "no character"; its other rows stay unchanged, and
    all of them where its inputs differ (another image size). Returns the number of characters transferred. Raises
    ValueError where a tensor before the classifier is missing or of another shape, or where the classifier is more than
    one layer and the alphabets differ.
    """
    own = network.state_dict()
    if known == alphabet and all(
        name in weights and own[name].shape == weights[name].shape for name in own
    ):
        network.load_state_dict({name: weights[name] for name in own})
        return len(alphabet)
    trunk = {name for name in own if not name.startswith(CLASSIFIER)}
    wrong = sorted(trunk ^ {name for name in weights if not name.startswith(CLASSIFIER)}) or sorted(
        name for name in trunk if own[name].shape != weights[name].shape
    )
    if wrong:
        raise ValueError(
            f"{wrong[0]} is missing or of another shape: architecture and channels of both readers should "
            "be the same"
        )
    if not isinstance(network.classifier, nn.Linear):
        raise ValueError(
            "it knows another alphabet, or another number of positions: readers of the architectures "
            "compact, ctc, heads and dense can start from such a one"
        )
    filled = {name: weights[name] for name in trunk}
    shared = [
        (alphabet.index(character) + 1, known.index(character) + 1)
        for character in alphabet
        if character in known
    ]
    # class 0 is "no character" in both
    new, old = (torch.tensor(rows) for rows in zip((0, 0), *shared, strict=True))
    layer = set(own) - trunk
    fits = all(
        name in weights and _same_shape(own[name], alphabet, weights[name], known) for name in layer
    )
    for name in layer:
        mine = own[name].clone()
        if fits:
            _classes(mine, alphabet)[:, new] = _classes(weights[name], known)[:, old]
        filled[name] = mine
    network.load_state_dict(filled)
    return len(shared) if fits else 0


def _same_shape(mine: Tensor, alphabet: str, other: Tensor, known: str) -> bool:
    """Whether two classifiers differ at most in the number of their classes."""
    return _classes(mine, alphabet)[:, 0].shape == _classes(other, known)[:, 0].shape


def _classes(tensor: Tensor, alphabet: str) -> Tensor:
    """A view (S, A + 1, ...) of a classifier's weight or bias (S * (A + 1), ...), by position and class."""
    return tensor.view(-1, len(alphabet) + 1, *tensor.shape[1:])
