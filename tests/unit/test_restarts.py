from hookline.processes.restarts import CALM_S, PAUSE_S_MAX, Restarts


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    restarts = Restarts(0.5)
    assert [restarts.pause_s(0) for _ in range(6)] == [0.5, 1, 2, 4, PAUSE_S_MAX, PAUSE_S_MAX]


def test_one_that_ran_for_a_while_is_started_again_at_once() -> None:
    restarts = Restarts()
    for _ in range(4):
        restarts.pause_s(CALM_S)
    assert restarts.pause_s(CALM_S + 1) == 0.1
    assert restarts.pause_s(0) == 0.2
