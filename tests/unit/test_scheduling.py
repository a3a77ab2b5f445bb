"""Two workers have two clouds, and a third one is set up only when nothing else is left to do."""

from types import SimpleNamespace

from tests.scheduling import ByCloud, group

FILES = [
    *("tests/rehearsal/test_a.py", "tests/rehearsal/test_b.py", "tests/rehearsal/test_c.py"),
    *("tests/engine/test_a.py", "tests/engine/test_b.py"),
    "tests/localcloud/test_a.py",
]


class Worker:
    """Takes the tests that it is sent."""

    def __init__(self, name):
        self.gateway, self.shutting_down, self.sent = SimpleNamespace(id=name), False, []

    def send_runtest_some(self, indices):
        self.sent += [FILES[index] for index in indices]

    def shutdown(self):
        self.shutting_down = True


def test_each_worker_keeps_to_its_cloud_until_nothing_else_is_left():
    option = SimpleNamespace(loadscopereorder=False, maxprocesses=None)
    workers = [Worker("gw0"), Worker("gw1")]
    config = SimpleNamespace(option=option, getvalue=lambda name: ["popen"] * 2, getoption=lambda name: None)
    scheduler = ByCloud(config, None)
    for worker in workers:
        scheduler.add_node(worker)
    for worker in workers:
        scheduler.add_node_collection(worker, [f"{file}::test" for file in FILES])
    scheduler.schedule()
    # The second one is quick: it takes the rest, and one of the files of the first one's folder at the end.
    for index in (3, 4, 5):
        scheduler.mark_test_complete(workers[1], index)
    assert workers[1].sent[:3] == FILES[3:]
    assert {group(file) for file in workers[0].sent} == {"tests/rehearsal"}
    assert sorted(workers[0].sent + workers[1].sent) == sorted(FILES)
