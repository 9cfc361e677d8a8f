import numpy as np
import pytest
import torch

from tombola.core.errors import Refused
from tombola.core.seeds import Seeds, numbers
from tombola.core.task import Holdout
from tombola.core.text import parse
from tombola.tasks import sources
from tombola.tasks.images import divided


def reference(task, step: int, size: int, seeds: Seeds, holdout: Holdout = Holdout()):
    """A batch the slow way: one picture at a time, in floats."""
    arrays, _ = sources.load(task.source())
    total = len(arrays.train_labels)
    held = round(holdout.fraction * total)
    kept = sorted(numbers("validation", holdout.seed).permutation(total)[held:].tolist()) if held else range(total)
    epoch, index = divmod(step, -(-len(kept) // size))
    turn = epoch if task.order == "new" else 0
    order = numbers("order", seeds.stream("data"), turn).permutation(len(kept)).tolist()
    draw = numbers("augment", seeds.stream("augment"), epoch)
    down, right = draw.integers(0, 2 * task.crop + 1, size=(2, total))
    mirror = draw.integers(0, 2, size=total)
    mean, sd = task.own_constants()
    inputs, targets = [], []
    for turn in order[index * size : (index + 1) * size]:
        row = kept[turn]
        image = arrays.train_images[row]
        if task.flip == "yes" and mirror[row]:
            image = image[:, ::-1]
        pad = task.crop
        image = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
        image = image[down[row] : down[row] + task.size, right[row] : right[row] + task.size]
        inputs.append((image / 255 - np.array(mean)) / np.array(sd))
        targets.append(int(arrays.train_labels[row]))
    return np.stack(inputs).transpose(0, 3, 1, 2), targets


@pytest.mark.parametrize(
    "text",
    [
        *("digits", "digits(crop=2)", "cifar100_subset", "cifar100_subset(crop=0)"),
        *("cifar100_subset(flip='no', crop=3)", "digits(crop=1, order='fixed')"),
    ],
)
@pytest.mark.parametrize("holdout", [Holdout(), Holdout(0.3, 5)], ids=["whole", "held"])
def test_crops_and_mirroring_are_those_of_a_slow_reference(text: str, holdout: Holdout):
    task, seeds = parse("task", text), Seeds(3, augment=4)
    for step in (0, 1, 400):
        inputs, targets = task.batch(step, seeds=seeds, size=50, holdout=holdout)
        slow, answers = reference(task, step, 50, seeds, holdout)
        assert targets.tolist() == answers
        np.testing.assert_allclose(inputs.numpy(), slow, atol=2e-5)


def test_with_a_fixed_order_and_no_augmentation_every_epoch_is_the_same():
    """1,437 digits: an epoch of 24 batches of 60."""
    still, moving, turning = (
        parse("task", text) for text in ("digits(order='fixed')", "digits(crop=1, order='fixed')", "digits")
    )
    for task, pictures, answers in ((still, True, True), (moving, False, True), (turning, False, False)):
        (first, ours), (later, theirs) = (task.batch(step, seeds=Seeds(2), size=60) for step in (3, 3 + 5 * 24))
        assert (torch.equal(first, later), torch.equal(ours, theirs)) == (pictures, answers)
    (one, _), (two, _) = (still.batch(0, seeds=Seeds(2, data=data), size=60) for data in (2, 3))
    assert not torch.equal(one, two)


def test_every_crop_and_both_mirrorings_come_up():
    draw = numbers("augment", 0, 0)
    assert np.unique(draw.integers(0, 9, size=(2, 1000)), return_counts=True)[1].min() > 150
    task = parse("task", "cifar100_subset(crop=0)")
    original = torch.cat([x for x, _ in task.evaluation("train")])
    once = torch.empty_like(original)
    order = torch.from_numpy(numbers("order", 0, 0).permutation(6000))
    once[order] = task.batch(0, seeds=Seeds(), size=6000)[0]
    same = (once == original).flatten(1).all(1)
    mirrored = (once == original.flip(3)).flatten(1).all(1)
    assert bool((same | mirrored).all())
    assert 2800 < int(same.sum()) < 3200


@pytest.mark.parametrize("text", ["digits", "mnist", "usps"])
def test_digits_are_never_mirrored(text: str):
    assert parse("task", text).flip == "no"
    with pytest.raises(Refused, match="a mirrored 2 is not a 2"):
        parse("task", f"{text}(flip='yes')")


def test_house_numbers_are_mirrored_only_when_asked():
    assert parse("task", "svhn").flip == "no"
    assert parse("task", "svhn(flip='yes')").flip == "yes"


def test_normalisation_by_hand():
    arrays, _ = sources.load(parse("task", "cifar100_subset").source())
    pixel = arrays.test_images[0, 5, 6].tolist()
    for words, mean, sd in (
        ("", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        ("normalise='imagenet'", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("normalise='none'", (0, 0, 0), (1, 1, 1)),
    ):
        inputs, _ = next(parse("task", f"cifar100_subset({words})").evaluation("test", size=1))
        expected = [(p / 255 - m) / s for p, m, s in zip(pixel, mean, sd, strict=True)]
        assert inputs[0, :, 5, 6].tolist() == pytest.approx(expected, abs=1e-5)


def test_the_padding_of_a_crop_is_black_before_normalising():
    task = parse("task", "digits(crop=8)")
    inputs, _ = task.batch(0, seeds=Seeds(), size=500)
    assert inputs.min().item() == pytest.approx(-0.3048 / 0.3752, abs=1e-6)


def test_evaluation_is_in_order_and_not_augmented():
    task = parse("task", "cifar100_subset")
    arrays, _ = sources.load(task.source())
    for split, images, labels in (
        ("train", arrays.train_images, arrays.train_labels),
        ("test", arrays.test_images, arrays.test_labels),
    ):
        batches = list(task.evaluation(split, size=700))
        assert [len(y) for _, y in batches[:-1]] == [700] * (len(batches) - 1)
        assert torch.cat([y for _, y in batches]).tolist() == labels.tolist()
        plain = list(parse("task", "cifar100_subset(normalise='none')").evaluation(split, size=700))
        pixels = torch.cat([x for x, _ in plain]).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
        assert (pixels == images).all()


def test_sets_of_other_sizes_and_channels_meet():
    usps, mnist = parse("task", "usps(size=28)"), parse("task", "mnist(channels=3, size=16)")
    assert usps.io.inputs == (1, 28, 28) == next(usps.evaluation("test", size=1))[0].shape[1:]
    inputs, _ = mnist.batch(0, seeds=Seeds(), size=4)
    assert inputs.shape == (4, 3, 16, 16) and inputs[:, 0].equal(inputs[:, 2])
    grey = parse("task", "cifar100_subset(channels=1)")
    assert grey.batch(0, seeds=Seeds(), size=4)[0].shape == (4, 1, 32, 32)


def test_resizing_keeps_what_the_data_are_keyed_by():
    assert parse("task", "usps(size=28)").__identity__() == parse("task", "usps").__identity__()


@pytest.mark.parametrize("text", ["digits(size=0)", "digits(crop=-1)", "digits(crop=9)"])
def test_fields_that_make_no_sense_are_refused(text: str):
    with pytest.raises(Refused):
        parse("task", text)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 0.9999, float("nan")])
def test_a_holdout_must_leave_something(fraction: float):
    task = parse("task", "digits")
    with pytest.raises(Refused, match="leaves nothing of 1,437 examples"):
        task.train_size(Holdout(fraction))
    with pytest.raises(Refused, match="leaves nothing of 1,437 examples"):
        task.batch(0, seeds=Seeds(), size=5, holdout=Holdout(fraction))


def test_no_validation_part_is_said_at_once():
    with pytest.raises(Refused, match="there is no validation part"):
        parse("task", "digits").evaluation("validation")


def test_steps_and_sizes_start_where_they_should():
    task = parse("task", "digits")
    for step, size in ((-1, 5), (0, 0)):
        with pytest.raises(Refused, match="steps start at 0"):
            task.batch(step, seeds=Seeds(), size=size)
    with pytest.raises(Refused, match="at least 1"):
        next(task.evaluation("test", size=0))


def test_a_batch_larger_than_the_set_is_an_epoch():
    task = parse("task", "digits")
    assert len(task.batch(3, seeds=Seeds(), size=10**6)[1]) == 1437


def test_the_held_out_are_the_first_of_a_named_permutation():
    train, held = divided(10, Holdout(0.3, 2))
    assert held.tolist() == sorted(numbers("validation", 2).permutation(10)[:3].tolist())
    assert sorted([*train, *held]) == list(range(10))


def test_loss_and_wrong_by_hand():
    task = parse("task", "digits")
    outputs = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    targets = torch.tensor([0, 1])
    assert task.loss(outputs, targets).item() == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2)
    smooth = -(0.7 * np.log(0.5) + 0.1 * (np.log(0.5) + 2 * np.log(0.25)))
    assert task.loss(outputs[:1], targets[:1], smoothing=0.3).item() == pytest.approx(smooth)
    assert task.wrong(outputs, targets).tolist() == [False, True]


def test_an_answer_that_is_not_a_number_is_wrong():
    outputs = torch.tensor([[torch.nan, torch.nan], [torch.nan, 3.0], [3.0, torch.inf]])
    assert parse("task", "digits").wrong(outputs, torch.tensor([0, 1, 1])).tolist() == [True, True, False]


def test_a_fleet_of_orders_does_not_mix():
    task = parse("task", "digits")
    alone = [task.batch(9, seeds=Seeds(s), size=60)[1] for s in range(4)]
    for step in range(10):
        mixed = [task.batch(step, seeds=Seeds(s), size=60)[1] for s in range(4)]
    assert all(a.equal(b) for a, b in zip(alone, mixed, strict=True))
    assert len({tuple(a.tolist()) for a in alone}) == 4


@pytest.mark.gpu
def test_a_device_computes_the_same_batches():
    task, seeds = parse("task", "cifar100_subset"), Seeds(1)
    here, there = (task.batch(7, seeds=seeds, size=64, device=torch.device(d)) for d in ("cpu", "cuda"))
    assert there[0].device.type == "cuda" and there[1].cpu().equal(here[1])
    assert there[0].cpu().equal(here[0])
