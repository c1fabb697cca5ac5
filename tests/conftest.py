import os

import pytest
import torch

DEVICE = os.environ.get("MOONAS_DEVICE", "cpu")
torch.set_num_threads(1)  # networks are tiny here


@pytest.fixture
def device():
    """Where networks run: MOONAS_DEVICE, or the CPU."""
    return DEVICE


@pytest.fixture(scope="session")
def tiny():
    """Settings of a CARS search that takes seconds."""
    return dict(
        channels=2,
        layers=3,
        batch=128,
        score_batch=720,
        population=6,
        generations=3,
        warmup_epochs=1,
        epochs=1,
        frozen_epochs=2,
        threads=1,
        device=DEVICE,
    )
