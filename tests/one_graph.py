"""Check that networks are one graph for the compiler; a program, because checks of types are not.

Arguments name some of the networks. It prints a line for each case, and traces autograd too, with
torch's own kernels.
"""

import sys
from functools import partial
from itertools import chain, product

import torch
from problems import filled
from torch._dynamo.testing import CompileCounterWithBackend

from ddpm_cli.hardware import compile_for_sampling, prepare_for_sampling, prepare_for_training
from ddpm_cli.networks.dit import DiT
from ddpm_cli.networks.reference import ReferenceUNet
from ddpm_cli.networks.unet import UNet

INPUTS = torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8), torch.tensor([3.0, 700.0])
LABELS = torch.tensor([1, -1])
TYPES, EITHER = ("fp32", "bf16", "fp16"), (False, True)
REFERENCE = {"sides": (8, 8), "dim": 8, "dim_mults": (1, 2), "blocks": 1, "groups": 4}
NETWORKS = {
    "resnet": partial(UNet, dim=8, dim_mults=(1, 2), block="resnet", dropout=0.1),
    "convnext": partial(UNet, dim=8, dim_mults=(1, 2), block="convnext", dropout=0.1),
    "ho": partial(ReferenceUNet, **REFERENCE, attention_at=[4], padding="end", dropout=0.1),
    "adm": partial(ReferenceUNet, **REFERENCE, head_dim=4, time="scale_shift", resample="block"),
    "dit": partial(DiT, hidden=8, depth=2, heads=2, patch=2),
}


def network(name, conditional):
    return filled(NETWORKS[name](1, 1, 2 * conditional))


def gradients(module, labels):
    torch.manual_seed(1)
    module(*INPUTS, labels).float().square().sum().backward()
    return torch.cat([each.grad.flatten() for each in module.parameters()])


def train(name, precision, conditional, recomputed):
    """Compare a compiled network's gradients with the plain network's; return the graphs."""
    torch.compiler.reset()
    counter, labels = CompileCounterWithBackend("aot_eager"), LABELS if conditional else None
    plain, inside = (
        prepare_for_training(
            network(name, conditional),
            precision,
            compiled=False,
            recomputed=recomputed,
            shared=True,  # the compiler fuses casts, of single weights
        )
        for _ in range(2)
    )
    inside.compile(backend=counter, fullgraph=True)
    found, expected = gradients(inside, labels), gradients(plain, labels)
    assert (found - expected).norm() < 0.02 * expected.norm()
    return counter.frame_count


@torch.no_grad()
def sample(name, precision, guided):
    """Compare a compiled network's batches with the plain network's; return the graphs.

    Guidance doubles batches; the batches after the first are smaller, and lie otherwise.
    """
    torch.compiler.reset()
    counter, compiler = CompileCounterWithBackend("aot_eager"), torch.compile
    torch.compile = partial(compiler, backend=counter, fullgraph=True)
    plain = prepare_for_sampling(network(name, guided), precision)
    compiled, torch.compile = compile_for_sampling(plain), compiler
    x, times = torch.linspace(-1, 1, 8 * 64).reshape(8, 1, 8, 8), torch.full((1,), 500.0)
    strided = x.to(memory_format=torch.channels_last)
    for maps in (x, strided, strided[:4], x[:2], x[:1]):
        labels = torch.zeros(len(maps), dtype=torch.long) if guided else None
        args = maps, times.expand(len(maps)), labels
        found, expected = compiled(*args), plain(*args)
        assert (found - expected).norm() < 0.02 * expected.norm()
    return counter.frame_count


def cases(name):
    """Half of the cases of a network; the next network takes the other half.

    Training meets all pairs of options, and all cases below fp32, whose two types take one path.
    """
    every = [(train, *case) for case in product(TYPES, EITHER, EITHER)]
    if name != "convnext":
        every += [(sample, *case) for case in product(TYPES, EITHER)]
    half = [*NETWORKS].index(name) % 2
    return [
        (act, name, precision, *flags)
        for act, precision, *flags in every
        if (TYPES.index(precision) + sum(flags)) % 2 == half
    ]


if __name__ == "__main__":
    for act, *case in chain.from_iterable(map(cases, sys.argv[1:] or NETWORKS)):
        count = act(*case)
        print(torch.__version__, act.__name__, *case, count)
        assert count == 1
