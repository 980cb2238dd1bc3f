"""Deterministic kernels: set for one run, restored after it, and there is one for each step."""

import os

import pytest
import torch
from operations import CountOperations
from training_problem import DATA, LABELLED, fresh, trained, trainer

from ddpm_cli.hardware import determinism, deterministic_kernels, set_workspace
from ddpm_cli.parallel import launch

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
REFUSAL = "{} does not have a deterministic implementation, but you set 'torch.use_determ"
# What torch lists under `use_deterministic_algorithms` as without a deterministic form on CUDA.
WITHOUT_FORM = {
    *"histc bincount kthvalue median nanmedian put_ put cumsum cumprod resize_".split(),
    *"ctc_loss _ctc_loss nll_loss2d_forward grid_sampler_2d_backward".split(),
    *"upsample_bilinear2d_backward upsample_bicubic2d_backward upsample_linear1d_backward".split(),
    *"_upsample_bilinear2d_aa_backward _upsample_bicubic2d_aa_backward".split(),
    *"_adaptive_avg_pool2d_backward avg_pool3d_backward adaptive_max_pool2d_backward".split(),
    *"max_pool3d_with_indices_backward fractional_max_pool2d_backward max_unpool2d".split(),
    *"reflection_pad1d_backward reflection_pad2d_backward replication_pad2d_backward".split(),
    *"_embedding_bag_dense_backward scatter_reduce scatter_reduce_".split(),
}


@pytest.fixture(autouse=True)
def settings_stay():
    before = determinism.settings()
    yield
    assert determinism.settings() == before
    assert determinism.COMPILER not in os.environ


def test_a_gpu_takes_deterministic_kernels_and_the_attention_without_atomics():
    with deterministic_kernels(True, CUDA):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
        assert torch.backends.cuda.math_sdp_enabled()
        assert not torch.backends.cuda.flash_sdp_enabled()
        assert not torch.backends.cuda.mem_efficient_sdp_enabled()
        assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.empty(2, dtype=torch.int64).sum().ndim == 0  # nothing is filled in vain
        assert not torch.utils.deterministic.fill_uninitialized_memory
        assert os.environ["TORCHINDUCTOR_DETERMINISTIC"] == "1"


def test_the_cpu_keeps_its_attention_and_nothing_changes_if_it_is_not_asked_for():
    before = determinism.settings()
    with deterministic_kernels(False, CUDA):
        assert determinism.settings() == before
    with deterministic_kernels(True, CPU):
        assert torch.backends.cuda.flash_sdp_enabled() == before["flash_sdp"]


def test_an_operation_without_a_deterministic_form_is_told_in_one_line():
    told = "trainer.deterministic=true: put_ has no deterministic form on cpu; choose another part"
    with pytest.raises(ValueError, match=told), deterministic_kernels(True, CPU):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))
    told = "cumsum_cuda_kernel has no deterministic form on cuda; choose another part, or trainer"
    with pytest.raises(ValueError, match=told), deterministic_kernels(True, CUDA):
        raise RuntimeError(REFUSAL.format("cumsum_cuda_kernel"))
    with pytest.raises(RuntimeError, match="shapes"), deterministic_kernels(True, CUDA):
        raise RuntimeError("shapes")


def test_a_workspace_of_ones_own_that_is_not_deterministic_is_told(monkeypatch):
    monkeypatch.setenv(determinism.WORKSPACE, ":0:0")
    set_workspace()
    told = "CUBLAS_WORKSPACE_CONFIG must be :4096:8 or :16:8, but is ':0:0' in the environment"
    with pytest.raises(ValueError, match=told), deterministic_kernels(True, CUDA):
        raise RuntimeError("set an environment variable: CUBLAS_WORKSPACE_CONFIG=:4096:8")


def test_every_process_has_the_workspace_before_its_job_starts(monkeypatch):
    monkeypatch.delenv(determinism.WORKSPACE, raising=False)
    seen = []

    def job():
        return seen.append(os.environ[determinism.WORKSPACE]) is None

    assert launch.run_in_processes(1, job, folder_is_named=True)
    monkeypatch.setenv(determinism.WORKSPACE, ":16:8")
    assert launch.run_in_processes(1, job, folder_is_named=True)
    assert seen == [":4096:8", ":16:8"]


@pytest.mark.parametrize("classes", [0, 4])
def test_a_step_takes_no_operation_without_a_deterministic_form(classes):
    with CountOperations() as operations, deterministic_kernels(True, CPU):
        trained(fresh(classes=classes), trainer(), steps=2, data=LABELLED if classes else DATA)
    assert len(operations.counts) > 30
    assert operations.counts.keys() & WITHOUT_FORM == set()
