"""THE STORY: one key from start to finish.

Look at the resource and at its Secret; do nothing if the Secret is well; else get a token, apply the
Secret, and say what came of it.
"""

from dataclasses import dataclass
from datetime import datetime

from ecr_operator.control.inventory import Inventory
from ecr_operator.control.ports import Clock, SecretStore
from ecr_operator.control.token_cache import TokenCache, TokenFailure
from ecr_operator.model.errors import OperatorError, PermanentError, StaleObjectError, TransientError
from ecr_operator.model.manifests import fingerprint, generated_secret, owned_fields
from ecr_operator.model.outcome import Outcome, Reason, TokenTimes
from ecr_operator.model.ownership import SecretView, is_ours
from ecr_operator.model.resources import Problem, Resource, Wanted, format_time
from ecr_operator.model.schedule import is_alive, refresh_deadline, serves_renewal
from ecr_operator.model.tokens import RegistryToken

_ATTEMPTS = 3
_CONFLICT_RECHECK = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one refresh came to, and when to look again.

    Attributes:
        outcome: what is to be told; None where there is nothing new.
        pending: AWS is being asked; the key comes up again when the answer is there.
        deadline: when the token is due next, UTC.
        retry_in: seconds until another try, after a failure.
    """

    outcome: Outcome | None
    pending: bool = False
    deadline: datetime | None = None
    retry_in: float | None = None


class Refresher:
    """Brings one resource's Secret to what the spec wants.

    Args:
        inventory: what was last seen.
        tokens: the token cache.
        secrets: the generated Secrets.
        clock: the time.
    """

    def __init__(self, inventory: Inventory, tokens: TokenCache, secrets: SecretStore, clock: Clock) -> None:
        self._inventory = inventory
        self._tokens = tokens
        self._secrets = secrets
        self._clock = clock

    async def refresh(self, resource: Resource, *, due: bool) -> Step:
        """Do what has to be done for a resource now.

        Args:
            resource: as last seen.
            due: its time has come, whatever the wall clock says now.
        """
        wanted = resource.wanted
        if wanted is None:
            return Step(outcome=_invalid(resource, None))
        try:
            return await self._bring_about(resource, wanted, due=due)
        except OperatorError as error:
            return Step(outcome=_failed(error, self._fitting(resource, wanted)), retry_in=error.retry_after)

    async def _bring_about(self, resource: Resource, wanted: Wanted, *, due: bool) -> Step:
        for _ in range(_ATTEMPTS):
            present = self._inventory.secret(resource.key.namespace, wanted.secret_name)
            if rival := self._rival(resource, present):
                return _conflict(wanted, rival)
            try:
                return await self._settle(resource, wanted, present, due=due)
            except StaleObjectError:
                if owner := await self._look_again(resource, wanted):
                    return _conflict(wanted, owner)
        raise TransientError(
            Reason.KUBERNETES_UNAVAILABLE,
            f"Secret {wanted.secret_name} keeps changing while the operator writes it; trying again.",
        )

    async def _settle(
        self, resource: Resource, wanted: Wanted, present: SecretView | None, *, due: bool
    ) -> Step:
        now = self._clock.now()
        fitting = self._fitting(resource, wanted)
        if fitting and fitting.times and not due and now < _deadline(resource, wanted, fitting.times):
            await self._sweep(resource, wanted)
            return _settled(resource, wanted, fitting.times, Reason.REFRESHED)
        if resource.problem and not (present and present.times):
            return Step(outcome=_invalid(resource, None))
        token = self._token(resource, wanted, fitting)
        if not isinstance(token, RegistryToken):
            return self._without_token(fitting, token)
        applied = await self._secrets.apply(generated_secret(resource, wanted, token), present)
        self._inventory.put_secret(applied)
        await self._sweep(resource, wanted)
        repaired = fitting is None and _told_of(resource, token.times)
        return _settled(resource, wanted, token.times, Reason.REPAIRED if repaired else Reason.REFRESHED)

    def _token(
        self, resource: Resource, wanted: Wanted, fitting: SecretView | None
    ) -> RegistryToken | TokenFailure | None:
        """From the cache if it may serve, else from AWS."""
        now = self._clock.now()
        present = fitting.times if fitting else None

        def acceptable(token: RegistryToken) -> bool:
            # A repair takes what is there, so that it never waits for AWS; what is due stays due.
            return serves_renewal(token.times, present, now) if present else is_alive(token.times, now)

        return self._tokens.obtain(
            wanted.source, resource.key, present.expires_at if present else None, acceptable
        )

    def _without_token(self, fitting: SecretView | None, failure: TokenFailure | None) -> Step:
        if failure is None:
            return Step(outcome=None if fitting else _PENDING, pending=True)
        retry_in = max(failure.retry_at - self._clock.monotonic(), 0.0)
        return Step(outcome=_failed(failure.error, fitting), retry_in=retry_in)

    def _fitting(self, resource: Resource, wanted: Wanted) -> SecretView | None:
        """The Secret that exists, if it is as we would write it but for the token's age."""
        view = self._inventory.secret(resource.key.namespace, wanted.secret_name)
        return view if view and _fits(view, resource, wanted) else None

    def _rival(self, resource: Resource, present: SecretView | None) -> str | None:
        """Who has the Secret, or gets it before us; None if it is ours to write."""
        if present is not None:
            return None if is_ours(present, resource) else present.owner
        older = self._inventory.older_claimant(resource)
        return f"{older.key.kind} {older.key.name}, which is older" if older else None

    async def _look_again(self, resource: Resource, wanted: Wanted) -> str | None:
        """After a conflict: see what is there; the owner's name if it is not ours."""
        namespace, name = resource.key.namespace, wanted.secret_name
        view = await self._secrets.look(namespace, name)
        if view is None:
            self._inventory.remove_secret((namespace, name))
            return None
        if not is_ours(view, resource):
            return view.owner
        self._inventory.put_secret(view)
        return None

    async def _sweep(self, resource: Resource, wanted: Wanted) -> None:
        """Delete what the resource had before its generated_secret_name changed; new first, old after."""
        for view in self._inventory.owned_by(resource.uid):
            if view.name != wanted.secret_name:
                await self._secrets.delete(view)


_PENDING = Outcome(
    reason=Reason.PENDING, message="AWS is being asked for a token.", succeeded=False, fits=False
)


def _fits(view: SecretView, resource: Resource, wanted: Wanted) -> bool:
    entry = view.entry
    return (
        is_ours(view, resource)
        and entry is not None
        and view.times is not None
        and view.fingerprint == fingerprint(resource, wanted)
        and owned_fields(resource) <= entry.fields
    )


def _told_of(resource: Resource, times: TokenTimes) -> bool:
    """Whether the status already tells of this token, so that it is put back rather than renewed."""
    return resource.status.get("lastUpdatedTime") == format_time(times.issued_at)


def _deadline(resource: Resource, wanted: Wanted, times: TokenTimes) -> datetime:
    return refresh_deadline(times, wanted.frequency, resource.uid)


def _settled(resource: Resource, wanted: Wanted, times: TokenTimes, reason: Reason) -> Step:
    deadline = _deadline(resource, wanted, times)
    if resource.problem:
        return Step(outcome=_invalid(resource, times), deadline=deadline)
    message = f"Secret {wanted.secret_name} holds a token that lives until {format_time(times.expires_at)}."
    outcome = Outcome(reason=reason, message=message, succeeded=True, fits=True, times=times)
    return Step(outcome=outcome, deadline=deadline)


def _failed(error: OperatorError, fitting: SecretView | None) -> Outcome:
    return Outcome(
        reason=error.reason,
        message=error.message,
        succeeded=False,
        fits=fitting is not None,
        permanent=isinstance(error, PermanentError),
        times=fitting.times if fitting else None,
    )


def _invalid(resource: Resource, times: TokenTimes | None) -> Outcome:
    problem = resource.problem or Problem(reason=Reason.INVALID_SPEC, message="The spec can't be read.")
    return Outcome(
        reason=problem.reason,
        message=problem.message,
        succeeded=False,
        fits=times is not None,
        permanent=True,
        times=times,
    )


def _conflict(wanted: Wanted, owner: str) -> Step:
    message = (
        f"Secret {wanted.secret_name} exists and is not this resource's ({owner}). It is left as it is: "
        "rename or delete it, or choose another generated_secret_name."
    )
    outcome = Outcome(
        reason=Reason.SECRET_CONFLICT, message=message, succeeded=False, fits=False, permanent=True
    )
    return Step(outcome=outcome, retry_in=_CONFLICT_RECHECK)
