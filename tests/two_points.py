"""A stand-in for optimizers of schedulefree: weights to learn at, and weights to evaluate.

Its parameters have no keyword-only mark and its counts stand in the groups, as theirs do.
"""

import torch
from torch.optim import Optimizer


class TwoPoints(Optimizer):
    """Steps z by the gradient at y = x + (1 - beta) (z - x), and averages z in x."""

    def __init__(self, params, lr: float = 1e-3, beta: float = 0.9, warmup_steps: int = 0):
        counts = {"k": 0, "weight_sum": 0.0, "train_mode": False}
        options = {"lr": lr, "beta": beta, "warmup_steps": warmup_steps}
        super().__init__(params, {**options, **counts})

    def move(self, mode, weight):
        for group in self.param_groups:
            if group["train_mode"] != mode:
                for parameter in group["params"]:
                    if "z" in self.state[parameter]:
                        shift = weight(group["beta"])
                        parameter.data.lerp_(self.state[parameter]["z"], shift)
                group["train_mode"] = mode

    def train(self):
        self.move(True, lambda beta: 1 - beta)

    def eval(self):
        self.move(False, lambda beta: 1 - 1 / beta)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            if not group["train_mode"]:
                raise Exception("Optimizer was not in train mode when step is called.")
            group["k"] += 1
            weight = group["lr"] ** 2
            group["weight_sum"] += weight
            share = weight / group["weight_sum"] if group["weight_sum"] else 0.0
            for y in group["params"]:
                if y.grad is None:
                    continue
                if "z" not in self.state[y]:
                    self.state[y]["z"] = y.clone()
                z = self.state[y]["z"]
                y.lerp_(z, share)
                y.sub_(y.grad, alpha=group["lr"] * (1 - group["beta"] * (1 - share)))
                z.sub_(y.grad, alpha=group["lr"])
