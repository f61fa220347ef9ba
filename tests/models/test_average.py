import torch
from torch import nn

from fercore.models.average import follow


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        net[1].running_mean.normal_()
        net[1].num_batches_tracked += seed
        return net


def test_it_is_the_plain_mean_first_and_forgets_by_the_decay_later():
    average, nets = network(0), [network(seed) for seed in (1, 2, 3)]
    for step, net in enumerate(nets):
        follow(average, net, 0.99, step)
    for key, value in average.state_dict().items():
        values = [net.state_dict()[key] for net in nets]
        expected = torch.stack(values).mean(0) if value.is_floating_point() else values[-1]
        torch.testing.assert_close(value, expected)
    before = average[0].weight.clone()
    follow(average, nets[0], 0.99, 1000)
    torch.testing.assert_close(average[0].weight, 0.99 * before + 0.01 * nets[0][0].weight)
