"""The recorded answers to registry keys are those of the real clients."""

from lab import programs
from tests.cli.kubelet_cases import CASES
from tests.programs.conftest import Program
from tools import registry_keys

RECORDED = registry_keys.recorded()


def of(client: str) -> registry_keys.Answers:
    return {key: answers[client] for key, answers in RECORDED["keys"].items()}


def test_the_kubelets_keyring_answers_as_recorded(program: Program) -> None:
    keyring = program(programs.KUBELET_KEYRING)
    assert registry_keys.ask_kubelet(keyring, RECORDED["keys"], RECORDED["images"]) == of("kubelet")


def test_the_kubelets_keyring_tries_the_logins_of_the_cases_in_their_order(program: Program) -> None:
    questions = [(secrets, image) for secrets, image, _ in CASES.values()]
    found = registry_keys.kubelet_names(program(programs.KUBELET_KEYRING), questions)
    assert dict(zip(CASES, found, strict=True)) == {name: names for name, (_, _, names) in CASES.items()}


def test_skopeo_sends_the_logins_that_are_recorded(program: Program) -> None:
    skopeo = program(programs.SKOPEO)
    assert registry_keys.ask_skopeo(skopeo, RECORDED["keys"], RECORDED["images"]) == of("containers")
