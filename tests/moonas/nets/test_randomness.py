import torch

from moonas.nets.randomness import derived_seed, initial_weights


def test_seeds_depend_on_the_purpose_and_are_reproducible():
    seeds = [derived_seed(1, "a"), derived_seed(1, "b"), derived_seed(2, "a"), derived_seed(1, "a")]
    assert len(set(seeds)) == 3 and seeds[0] == seeds[3]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeded_initialization_is_reproducible_and_restores_the_global_state():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with initial_weights(1, "weights"):
        first = torch.rand(1)
    assert torch.equal(torch.rand(1), expected)
    with initial_weights(1, "weights"):
        assert torch.equal(torch.rand(1), first)
