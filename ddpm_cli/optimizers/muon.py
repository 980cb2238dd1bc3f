"""Muon: matrices take orthogonal steps, all other parameters the steps of AdamW."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

QUINTIC = 3.4445, -4.7750, 2.0315  # Jordan et al. 2024: steepest at 0, not convergent to 1
RMS = 0.2  # of a usual step of AdamW over its learning rate (Liu et al. 2025, section 2.2)


class Muon(Optimizer):
    """Muon (Jordan et al. 2024), with AdamW for parameters of fewer than two axes.

    A kernel [out, in, k, k] is a matrix [out, in k k]. Steps are as large as those of AdamW, so
    that one learning rate and one decay serve both (Liu et al. 2025).
    lr, betas, weight_decay, eps, fused: as those of AdamW; eps and betas are of AdamW alone.
    momentum: decay of the average of a matrix's gradients. nesterov: whether the step looks ahead.
    ns_steps: iterations that make a step orthogonal (Newton-Schulz).
    orthogonal: whether matrices take orthogonal steps, or the steps of AdamW.
    Raises ValueError for options outside their ranges.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        fused: bool = True,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        orthogonal: bool = True,
    ) -> None:
        if len(betas) != 2:
            raise ValueError(f"betas must be two numbers, but are {list(betas)}")
        shares = {"betas[0]": betas[0], "betas[1]": betas[1], "momentum": momentum}
        for name, share in shares.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name} must be at least 0 and less than 1, but is {share}")
        for name, number in {"lr": lr, "eps": eps, "weight_decay": weight_decay}.items():
            if not number >= 0:
                raise ValueError(f"{name} must be at least 0, but is {number}")
        if not 1 <= ns_steps < 100:
            raise ValueError(f"ns_steps must be between 1 and 99, but is {ns_steps}")
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        options |= {"fused": fused, "momentum": momentum, "nesterov": nesterov}
        options |= {"ns_steps": ns_steps, "orthogonal": orthogonal}
        super().__init__(list(split_matrices(params, orthogonal)), options)
        # Learning rate, and whether to step, are read from the device, as by fused AdamW.
        self._step_supports_amp_scaling = fused

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take a step; `found_inf`, a tensor that may have been set, leaves everything as it is."""
        skipped: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            parameters = [each for each in group["params"] if each.grad is not None]
            if parameters and group["orthogonal"]:
                self.step_orthogonally(parameters, group, skipped)
            elif parameters:
                self.step_as_adamw(parameters, group, skipped)

    def step_orthogonally(
        self, matrices: list[Tensor], group: dict[str, Any], skipped: Tensor | None
    ) -> None:
        """Average the gradients, make the averages orthogonal, and step along these."""
        averages = [self.moments(each, "momentum_buffer")[0] for each in matrices]
        gradients = [each.grad for each in matrices if each.grad is not None]
        active: Tensor | float = 1.0
        if skipped is not None:
            active = 1 - skipped
            gradients = [each.masked_fill(skipped > 0, 0) for each in gradients]
        changes = torch._foreach_sub(gradients, averages)
        torch._foreach_mul_(changes, (1 - group["momentum"]) * active)
        torch._foreach_add_(averages, changes)
        steps = averages
        if group["nesterov"]:
            steps = list(torch._foreach_sub(averages, gradients))
            torch._foreach_mul_(steps, group["momentum"])
            torch._foreach_add_(steps, gradients)
        rate = group["lr"] * active
        torch._foreach_mul_(matrices, 1 - rate * group["weight_decay"])
        torch._foreach_sub_(
            matrices, [rate * each for each in orthogonal(steps, group["ns_steps"])]
        )

    def step_as_adamw(
        self, parameters: list[Tensor], group: dict[str, Any], skipped: Tensor | None
    ) -> None:
        """Take the step of torch's AdamW."""
        names = "exp_avg", "exp_avg_sq"
        first, second = zip(*(self.moments(each, *names) for each in parameters), strict=True)
        for each in parameters:
            if "step" not in self.state[each]:
                device = each.device if group["fused"] else "cpu"
                self.state[each]["step"] = torch.zeros((), device=device)
        adamw(
            parameters,
            [each.grad for each in parameters if each.grad is not None],
            list(first),
            list(second),
            [],
            [self.state[each]["step"] for each in parameters],
            foreach=False,
            fused=group["fused"],
            found_inf=skipped if group["fused"] else None,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def moments(self, parameter: Tensor, *names: str) -> list[Tensor]:
        """The averages of a parameter, zero before its first step."""
        state = self.state[parameter]
        for name in names:
            if name not in state:
                state[name] = torch.zeros_like(parameter)
        return [state[name] for name in names]


def split_matrices(params: Iterable[Any], orthogonal: bool) -> Iterator[dict[str, Any]]:
    """Yield groups of matrices, and groups of what takes the steps of AdamW."""
    params = list(params)
    for group in params if params and isinstance(params[0], dict) else [{"params": params}]:
        is_matrix = group.get("orthogonal", orthogonal)
        parts: dict[bool, list[Tensor]] = {True: [], False: []}
        for parameter in group["params"]:
            parts[bool(is_matrix) and parameter.ndim > 1].append(parameter)
        yield from (
            {**group, "params": part, "orthogonal": kind} for kind, part in parts.items() if part
        )


def orthogonal(steps: list[Tensor], iterations: int) -> list[Tensor]:
    """The nearest orthogonal matrices of some matrices and kernels, scaled to steps of AdamW."""
    places = defaultdict[tuple[int, int], list[int]](list)
    matrices = [each.flatten(1) for each in steps]
    for place, matrix in enumerate(matrices):
        places[matrix.shape[0], matrix.shape[1]].append(place)
    results = dict[int, Tensor]()
    for shape, same in places.items():
        turned = newton_schulz(torch.stack([matrices[place] for place in same]), iterations)
        scale = RMS * math.sqrt(max(shape))
        results |= zip(same, (scale * turned).to(steps[same[0]].dtype), strict=True)
    return [results[place].reshape(each.shape) for place, each in enumerate(steps)]


def newton_schulz(matrices: Tensor, iterations: int) -> Tensor:
    """Matrices [n, rows, columns] with singular values near 1, by the same singular vectors."""
    a, b, c = QUINTIC
    # GPUs multiply bf16 fast, and the result need not be exact; CPUs multiply fp32 faster.
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if is_tall else x
