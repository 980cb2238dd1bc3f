"""Full memory in words: what was asked for, what is free, and the remedy."""

import pytest
import torch

from ddpm_cli.hardware import full_memory, is_out_of_memory, words_for_full_memory

CUDA = (
    "CUDA out of memory. Tried to allocate 1.95 GiB. GPU 1 has a total capacity of 14.57 GiB of "
    "which 1.58 GiB is free. Process 24 has 12.02 GiB memory in use. Of the allocated memory "
    "734.07 MiB is allocated by PyTorch. If reserved but unallocated memory is large\ntry setting"
)
CPU = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 140737488355328 bytes. Error code 12 (Cannot allocate memory)"
)
NUMPY = "Unable to allocate 8.00 PiB for an array with shape (1,) and data type float64"
MPS = (
    "MPS backend out of memory (MPS allocated: 9.05 GB, max allowed: 9.07 GB). "
    "Tried to allocate 512.00 MB on private pool."
)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            torch.OutOfMemoryError(CUDA),
            "the memory of cuda:1 is full: 1.95 GiB more were asked for, 1.58 GiB of 14.57 GiB are "
            "free",
        ),
        (torch.OutOfMemoryError("something new"), "the memory of the GPU is full"),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "the memory of the GPU is full",
        ),
        (
            RuntimeError(CPU),
            "the memory of cpu is full: 128.0 TiB more were asked for, 3.0 GiB are free",
        ),
        (MemoryError(NUMPY), "the memory of cpu is full: 8.00 PiB more were asked for, 3.0 GiB"),
        (MemoryError(), "the memory of cpu is full: 3.0 GiB are free"),
        (RuntimeError(MPS), "the memory of mps is full: 512.00 MB more were asked for"),
    ],
)
def test_full_memory_is_told_in_one_line_with_the_remedy(monkeypatch, error, text):
    monkeypatch.setattr(full_memory, "free_memory", lambda device: 3 * 2**30)
    assert is_out_of_memory(error)
    match = f"^{text}.*; choose a smaller batch$"
    remedy = words_for_full_memory("choose a smaller batch")
    with pytest.raises(ValueError, match=match) as refusal, remedy:
        raise error
    assert "\n" not in str(refusal.value)


def test_the_gpu_is_asked_for_what_is_free_if_the_message_does_not_tell(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2**30, 2**34))
    error = RuntimeError("CUDA error: out of memory")
    assert full_memory.full_memory_text(error) == "the memory of the GPU is full: 1.0 GiB are free"


def test_other_errors_stay_as_they_are():
    for error in (RuntimeError("shapes"), ValueError("allocate memory")):
        assert not is_out_of_memory(error)
        with pytest.raises(type(error), match=f"^{error}$"), words_for_full_memory("batch"):
            raise error
