"""Dropout with streams of its own: reproducible whatever else draws, beside it or before it."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stages.reader.alternatives.dropout import Dropout, reseed
from stages.reader.data_parallel import replicas

CPU = torch.device("cpu")


def network() -> nn.Sequential:
    return nn.Sequential(Dropout(0.5), nn.Sequential(nn.ReLU(), Dropout(0.5)), Dropout(0.3)).train()


def ones(*shape: int) -> Tensor:
    return torch.ones(shape or (5, 7))


@given(st.floats(0, 0.9), st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_values_are_dropped_with_probability_p_and_the_mean_is_kept(p: float, seed: int) -> None:
    dropout = Dropout(p).train()
    reseed(dropout, seed)
    x = dropout(ones(100, 301))
    assert float((x == 0).float().mean()) == pytest.approx(p, abs=0.018)  # 6 standard errors
    assert torch.all((x == 0) | torch.isclose(x, torch.tensor(1 / (1 - p))))
    assert float(x.mean()) == pytest.approx(1, abs=0.11)


def test_the_gradient_passes_where_the_value_did() -> None:
    x = ones().requires_grad_()
    dropped = Dropout(0.5).train()(x)
    dropped.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, dropped.detach())


@pytest.mark.parametrize("dropout", [Dropout(0.5).eval(), Dropout(0.0).train()])
def test_in_eval_mode_and_at_p_0_it_is_the_identity(dropout: Dropout) -> None:
    assert dropout(x := ones()) is x


def test_the_streams_depend_on_identity_and_place_alone() -> None:
    def drawn(seed: int, *identity: int) -> list[Tensor]:
        torch.manual_seed(seed)
        net = network()
        net[0](ones())  # what was drawn before reseeding does not matter
        reseed(net, *identity)
        return [module(ones()) for module in net.modules() if isinstance(module, Dropout)]

    first, second, third = drawn(1, 7, 3, 0)
    assert all(
        torch.equal(a, b) for a, b in zip([first, second, third], drawn(2, 7, 3, 0), strict=True)
    )
    assert not torch.equal(first, second)
    for other in ((8, 3, 0), (7, 4, 0), (7, 3, 1), (3, 7, 0), (7, 3)):
        assert not torch.equal(first, drawn(1, *other)[0])


def test_the_global_stream_is_neither_read_nor_moved() -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    network()(ones())
    assert torch.equal(torch.get_rng_state(), before)


def test_successive_masks_differ() -> None:
    dropout = Dropout(0.5).train()
    assert not torch.equal(dropout(ones()), dropout(ones()))


@pytest.mark.parametrize("drawn", [0, 2])
def test_a_copy_goes_on_where_the_original_stands_and_apart_from_it(drawn: int) -> None:
    net = network()
    reseed(net, 5)
    for _ in range(drawn):
        net(ones())
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin[0].generator is None or twin[0].generator is not net[0].generator
        original = copy.deepcopy(net)
        assert torch.equal(twin(ones()), expected := original(ones()))
        assert not torch.equal(twin(ones()), expected)


def test_it_has_no_weights_and_no_state() -> None:
    net = network()
    net(ones())
    assert not net.state_dict()
    assert not list(net.parameters())


def test_the_mask_does_not_depend_on_the_memory_format() -> None:
    masks = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        dropout = Dropout(0.5).train()
        reseed(dropout, 1)
        masks.append(dropout(ones(2, 3, 4, 5).contiguous(memory_format=memory_format)))
    assert torch.equal(*masks)
    assert masks[1].is_contiguous(memory_format=torch.channels_last)


def test_the_precision_is_that_of_the_input() -> None:
    assert Dropout(0.5).train()(ones().bfloat16()).dtype == torch.bfloat16


def test_two_replicas_in_two_threads_draw_what_each_draws_alone() -> None:
    nets = [network(), network()]
    for replica, net in enumerate(nets):
        reseed(net, 1, 2, replica)

    def draw(net: nn.Module) -> Tensor:
        return torch.stack([net(ones()) for _ in range(50)])

    alone = [draw(copy.deepcopy(net)) for net in nets]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(draw, nets))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert not torch.equal(*alone)


def test_training_with_dropout_on_two_halves_gives_the_same_bytes() -> None:
    def trained() -> Tensor:
        linear = nn.Linear(5, 3)
        nn.init.ones_(linear.weight)
        nn.init.zeros_(linear.bias)
        net = nn.Sequential(Dropout(0.5), linear)
        with replicas(net, CPU) as side_by_side:
            for epoch in range(3):
                side_by_side.reseed(7, epoch)
                side_by_side.train()
                side_by_side.backward(lambda part, rows: part(ones(8, 5)[rows]).square().mean(), 8)
        assert linear.weight.grad is not None
        return linear.weight.grad

    assert torch.equal(trained(), trained())


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_a_probability_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="dropout: expected a probability from 0 to below 1, got"):
        Dropout(p)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_stream_follows_the_tensor_to_its_device() -> None:
    dropout = Dropout(0.5).train()
    dropout(ones())
    assert (x := dropout(ones().cuda())).is_cuda
    twin = copy.deepcopy(dropout)
    assert torch.equal(twin(x), dropout(x))
