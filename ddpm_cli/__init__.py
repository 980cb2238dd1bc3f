"""Train and sample Denoising Diffusion Probabilistic Models from the command line."""
