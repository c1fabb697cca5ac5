import torch

from moonas.nets.randomness import derived_seed, initial_weights


def test_derived_seeds_are_reproducible_and_depend_on_seed_and_purpose():
    seeds = [derived_seed(1, "a"), derived_seed(1, "b"), derived_seed(2, "a"), derived_seed(1, "a")]
    assert len(set(seeds)) == 3 and seeds[0] == seeds[3]
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_initial_weights_are_reproducible_and_the_global_random_state_is_restored():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with initial_weights(1, "weights"):
        first = torch.rand(1)
    assert torch.equal(torch.rand(1), expected)
    with initial_weights(1, "weights"):
        assert torch.equal(torch.rand(1), first)
