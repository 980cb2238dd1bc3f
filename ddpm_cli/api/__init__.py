"""What `import ddpm_cli` offers: models from checkpoints, training runs, pictures of images."""
