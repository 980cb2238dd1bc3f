"""The Hugging Face hub: addresses of models, files fetched from it, folders pushed to it."""
