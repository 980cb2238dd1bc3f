"""Networks: plain modules, forward(x, t, label=None), that know nothing of diffusion."""
