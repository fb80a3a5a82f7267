"""How long a training lasts, and when it validates."""

import pytest

from diffusion_bert.errors import UserError
from diffusion_bert.training.budget import Budget


def budget(**given):
    """Of 200 windows, 16 a step."""
    nothing = {"steps": None, "epochs": None, "minutes": None, "validate_every": None, "batch_size": 16}
    return Budget.of({**nothing, **given}, 200)


@pytest.mark.parametrize("given", [{}, {"steps": 10, "epochs": 1.0}, {"steps": 10, "minutes": 1}])
def test_steps_or_epochs_or_minutes(given):
    with pytest.raises(UserError, match=r"steps is .* and minutes is .*: exactly one says how"):
        budget(**given)


def test_epochs_are_steps():
    assert budget(epochs=2.5).steps == 32
    assert budget(steps=7).steps == 7


def test_validations_are_twenty_in_all_where_nothing_is_said():
    of_steps, of_time = budget(steps=400), budget(minutes=2)
    due = []
    for step in range(1, 401):
        of_steps.step, of_time.used = step, 120 * step / 400
        due.append(of_steps.validation_due(0))
        assert of_time.validation_due(step // 20) is False
        assert of_time.validation_due((step - 1) // 20) is (step % 20 == 0)
    assert [step for step, now in enumerate(due, 1) if now] == list(range(20, 401, 20))


def test_every_so_many_steps_whatever_the_budget():
    for given in ({"steps": 400}, {"minutes": 2}):
        often = budget(**given, validate_every=7)
        due = []
        for often.step in range(1, 30):
            due.append(often.validation_due(0))
        assert [step for step, now in enumerate(due, 1) if now] == [7, 14, 21, 28]


def test_time_tells_the_steps_there_will_have_been():
    half = budget(minutes=2)
    assert (half.done, half.steps_in_all()) == (0.0, 1)
    half.step, half.used = 30, 60.0
    assert (half.done, half.steps_in_all()) == (0.5, 60)
    half.used = 130.0
    assert half.done == 1.0
