"""A masked training over two processes: the network is wrapped from outside, the mask needs no help."""

import pathlib
import subprocess
import sys

import pytest
import torch

from tests.train.toys import Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.seeds import Seeds

ROOT = pathlib.Path(__file__).resolve().parents[2]
RANK = """
import os, sys, torch
from torch import distributed
from tests.train.toys import Points, a_ticket
from tombola.archs.mlp import Mlp
from tombola.core.seeds import Seeds
from tombola.train.masked import Masking
rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
task = Points()
ticket = a_ticket(Mlp(hidden=(8,)), task)
net = ticket.module()
wrapped = torch.nn.parallel.DistributedDataParallel(net)
masking = Masking(net, ticket.mask)
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
for step in range(20):
    inputs, targets = task.batch(step, seeds=Seeds(), size=10)
    if len(targets) < 10:
        continue
    half = slice(rank * 5, rank * 5 + 5)
    optimizer.zero_grad()
    task.loss(wrapped(inputs[half]), targets[half]).backward()
    masking.mask_gradients()
    optimizer.step()
masking.audit(optimizer, step=20)
torch.save(net.state_dict(), f"{folder}/{rank}.pt")
del wrapped
distributed.barrier()
distributed.destroy_process_group()
os._exit(0)  # gloo's threads now and then abort a process that leaves by the door
"""


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: pathlib.Path):
    """Each sees half of every batch; both end in the same weights, which are those of whole batches in one process."""
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, str(rank), str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for rank in ranks:
        _, said = rank.communicate(timeout=300)
        assert rank.returncode == 0, said.decode()
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    task = Points()
    ticket = a_ticket(Mlp(hidden=(8,)), task)
    net = ticket.module()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    for step in range(20):
        inputs, targets = task.batch(step, seeds=Seeds(), size=10)
        if len(targets) < 10:
            continue
        optimizer.zero_grad()
        task.loss(net(inputs), targets).backward()
        for name, parameter in net.named_parameters():
            if name in ticket.mask and parameter.grad is not None:
                parameter.grad.mul_(ticket.mask[name])
        optimizer.step()
    for name, value in net.state_dict().items():
        assert torch.allclose(one[name], value, atol=1e-5), name
    assert all(not bool(one[name][~mask].any()) for name, mask in ticket.mask.items())
