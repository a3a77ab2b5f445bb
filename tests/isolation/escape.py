"""How far somebody gets who holds one role: a search over everything that a role can do to gain another one.

Whoever writes a role's policy, changes whom it trusts, makes a role, or runs code where a role is passed on, has that
role too. What is gained together is used together, until nothing more is gained. The evaluator decides every step.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from components.naming import TRAIL, names, trail_bucket
from components.policies.documents import Document
from components.policies.reading import READ_OFFERED
from localcloud.iam.evaluator import PolicyRequest, decide
from tests.isolation.questions import by_kind_in_short
from tests.isolation.world import EVERYTHING, Principal, Thing, World

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
SERVICES = ("lambda", "scheduler", "events")
WRITES = ("PutRolePolicy", "AttachRolePolicy")
"""Either lets a role do whatever its boundary lets through."""
CHANGES_OF_A_ROLE = (*WRITES, "UpdateAssumeRolePolicy", "PassRole", "DeleteRole", "TagRole")
CHANGES_OF_A_POLICY = ("CreatePolicyVersion", "SetDefaultPolicyVersion", "DeletePolicyVersion", "DeletePolicy")
CHANGES_OF_A_PROVIDER = (
    "AddClientIDToOpenIDConnectProvider",
    "DeleteOpenIDConnectProvider",
    "RemoveClientIDFromOpenIDConnectProvider",
    "UpdateOpenIDConnectProviderThumbprint",
)
CHANGES_OF_A_USER = (
    *("CreateUser", "CreateAccessKey", "CreateLoginProfile", "UpdateLoginProfile"),
    *("PutUserPolicy", "AttachUserPolicy"),
)

Ask = tuple[str, Thing, tuple[tuple[str, str], ...]]
"""Action, what it is done to, and what the caller chooses of the context."""


@dataclass(frozen=True)
class Power:
    """Rights that an attacker holds, and how they came by them."""

    principal: Principal
    how: tuple[str, ...]

    def request(self, ask: Ask) -> PolicyRequest:
        action, thing, context = ask
        return self.principal.asks(action, thing, dict(context))


@dataclass
class Ground:
    """The account that the search runs in: its roles, the functions that run as them, and what nobody may reach."""

    world: World
    roles: Mapping[str, Principal]
    """Roles that exist, by ARN; among them an administrator's old one, which trusts whoever asks."""
    new_roles: Sequence[str]
    """Names of roles that somebody could make."""
    functions: Mapping[str, str]
    """ARN of the role by the ARN of a function; empty for a function that does not exist yet."""
    boundaries: Mapping[str, Document]
    """What each policy that can be a boundary lets through."""


def ground(world: World) -> Ground:
    """The environments of `world`, in one account, and beside them an old function with an administrator's role."""
    account = world.accounts["prod"]
    roles = {
        role.arn: role
        for role in world.principals
        if role.name.endswith(
            ("-dashboard-exec", "-schedule", "-safety", "-way-back", "-deploy")
        )  # the others are like one of these
    }
    old = Principal(
        name="admin",
        arn=f"arn:aws:iam::{account}:role/admin",
        environment="prod",
        account=account,
        policies=[EVERYTHING],
        boundary=None,
        trust={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Anybody",
                    "Effect": "Allow",
                    "Principal": {
                        "Service": [f"{service}.amazonaws.com" for service in SERVICES],
                        "AWS": f"arn:aws:iam::{account}:root",
                    },
                    "Action": "sts:AssumeRole",
                }
            ],
        },
    )
    functions = {f"arn:aws:lambda:us-east-1:{account}:function:old": old.arn}
    boundaries: dict[str, Document] = {ADMINISTRATOR_ACCESS: EVERYTHING}
    new_roles = [f"arn:aws:iam::{account}:role/new"]
    for environment in world.accounts:
        own = world.arns(environment)
        dashboard = world.principal(environment, own.names.function("dashboard").role)
        functions[own.of("function", own.names.function("dashboard").function)] = dashboard.arn
        functions[own.of("function", f"{own.names.prefix}new")] = ""
        boundaries[own.of("policy", own.names.boundary)] = dashboard.boundary or EVERYTHING
        new_roles += [own.of("role", f"{own.names.prefix}{name}") for name in ("new-exec", "new")]
    return Ground(world, {**roles, old.arn: old}, new_roles, functions, boundaries)


@dataclass
class Search:
    """One attacker, who begins as `start`."""

    ground: Ground
    start: Principal
    boundaries: Mapping[str, Document]
    powers: list[Power] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.powers = [Power(self.start, (self.start.name,))]
        self._asked: list[Power] = []
        self._seen = {self._key(self.start)}

    # What is asked

    def questions(self) -> list[tuple[Power, Ask]]:
        """What is not known yet of the powers held."""
        return [
            (power, ask)
            for power in self.powers
            for ask in (*self._steps(), *goals(self.ground, self.start.environment))
            if (_signature(power.principal), ask) not in _ANSWERS
        ]

    def _may(self, action: str, thing: Thing, **context: str) -> tuple[str, ...] | None:
        """How the attacker came by the power to do it; None when they cannot."""
        ask = (action, thing, _context(context))
        return next((one.how for one in self._asked if _ANSWERS[_signature(one.principal), ask]), None)

    def _steps(self) -> Iterable[Ask]:
        yield from self._steps_with_roles()
        yield from self._steps_with_new_roles()
        for arn in self.ground.functions:
            for action in ("UpdateFunctionCode", "UpdateFunctionConfiguration", "CreateFunction"):
                yield f"lambda:{action}", _thing(arn), ()
        for schedule in self._schedules():
            for action in ("CreateSchedule", "UpdateSchedule"):
                yield f"scheduler:{action}", schedule, ()
        for rule in self._rules():
            yield "events:PutTargets", rule, _context(self._target(rule))
        for policy in self.boundaries:
            yield "iam:CreatePolicyVersion", _thing(policy), ()

    def _steps_with_roles(self) -> Iterable[Ask]:
        for role in self.ground.roles.values():
            thing, kept = _thing(role.arn), _context(_kept(role))
            for action in ("UpdateAssumeRolePolicy", *WRITES, "DeleteRolePermissionsBoundary"):
                yield f"iam:{action}", thing, kept
            for boundary in self.boundaries:
                yield "iam:PutRolePermissionsBoundary", thing, _context({"iam:PermissionsBoundary": boundary})
            for service in SERVICES:
                yield "iam:PassRole", thing, _context({"iam:PassedToService": f"{service}.amazonaws.com"})
            yield "sts:AssumeRole", thing, ()

    def _steps_with_new_roles(self) -> Iterable[Ask]:
        for arn in self.ground.new_roles:
            for action in ("CreateRole", *WRITES):
                for boundary in ("", *self.boundaries):
                    context = {"iam:PermissionsBoundary": boundary} if boundary else {}
                    yield f"iam:{action}", _thing(arn), _context(context)

    def _schedules(self) -> list[Thing]:
        things = [thing for thing in self.ground.world.things if thing.kind == "schedule"]
        return [*things, _thing(things[0].arn.rpartition("/")[0] + "/new")]

    def _rules(self) -> list[Thing]:
        things = [thing for thing in self.ground.world.things if thing.kind == "rule"]
        return [*things, _thing(things[0].arn.rpartition("/")[0] + "/new")]

    @staticmethod
    def _target(rule: Thing) -> dict[str, str]:
        """The one target that a rule of ours may have: with another one nobody may have it anyway."""
        machine = rule.arn.replace(":events:", ":states:").replace(":rule/", ":stateMachine:")
        return {"events:TargetArn": machine.removesuffix("-bake") + "-way-back"}

    # What is gained

    def gain(self) -> bool:
        """Take every step that the answers allow; tell whether any power is new, and any needed."""
        self._asked = list(self.powers)
        if self.escapes():
            return False
        boundaries = dict(self.boundaries)
        for policy in self.boundaries:
            if self._may("iam:CreatePolicyVersion", _thing(policy)):
                boundaries[policy] = EVERYTHING
        for role in self.ground.roles.values():
            self._gain_role(self.start if role.arn == self.start.arn else role, boundaries)
        for arn in self.ground.new_roles:
            self._make_role(arn, boundaries)
        self.boundaries = boundaries
        return len(self.powers) > len(self._asked)

    def _gain_role(self, role: Principal, boundaries: Mapping[str, Document]) -> None:
        how = self._held(role) or self._controls(role)
        if how is None:
            return
        thing, kept = _thing(role.arn), _kept(role)
        policies, boundary = role.policies, role.boundary
        if kept:
            boundary = boundaries[kept["iam:PermissionsBoundary"]]
            if self._may("iam:DeleteRolePermissionsBoundary", thing, **kept):
                boundary = None
        for chosen, document in boundaries.items():
            if boundary and self._may("iam:PutRolePermissionsBoundary", thing, **{"iam:PermissionsBoundary": chosen}):
                boundary = document if document == EVERYTHING else boundary
        if any(self._may(f"iam:{action}", thing, **kept) for action in WRITES):
            policies = [EVERYTHING]
        self._add(replace(role, policies=policies, boundary=boundary), (*how, f"is {role.name}"))

    def _held(self, role: Principal) -> tuple[str, ...] | None:
        return next((power.how for power in self.powers if power.principal.arn == role.arn), None)

    def _controls(self, role: Principal) -> tuple[str, ...] | None:
        """How somebody becomes an existing role; None when nobody can."""
        thing, kept = _thing(role.arn), _kept(role)
        trusted = self._may("iam:UpdateAssumeRolePolicy", thing, **kept)
        if trusted:
            return (*trusted, f"changes whom {role.name} trusts")
        assumed = self._may("sts:AssumeRole", thing)
        if assumed and f"arn:aws:iam::{role.account}:root" in str(role.trust):
            return (*assumed, f"assumes {role.name}")
        for function, runs_as in self.ground.functions.items():
            code = self._may("lambda:UpdateFunctionCode", _thing(function))
            if code and runs_as == role.arn:
                return (*code, f"puts code into {function.rpartition(':')[2]}")
        for service in SERVICES:
            passed = self._may("iam:PassRole", thing, **{"iam:PassedToService": f"{service}.amazonaws.com"})
            if passed and f"{service}.amazonaws.com" in str(role.trust) and self._runs(service):
                return (*passed, f"passes {role.name} to {service}")
        return None

    def _runs(self, service: str) -> bool:
        """Whether the attacker can make a service do something as a role that is passed to it."""
        if service == "scheduler":
            return any(
                self._may(f"scheduler:{action}Schedule", thing)
                for thing in self._schedules()
                for action in ("Create", "Update")
            )
        if service == "events":
            return any(self._may("events:PutTargets", rule, **self._target(rule)) for rule in self._rules())
        return any(
            self._may(f"lambda:{action}", _thing(function))
            for function in self.ground.functions
            for action in ("CreateFunction", "UpdateFunctionConfiguration")
        )

    def _make_role(self, arn: str, boundaries: Mapping[str, Document]) -> None:
        """Who makes a role says whom it trusts, so they have it."""
        name = arn.rpartition("/")[2]
        for chosen, document in (("", None), *boundaries.items()):
            context = {"iam:PermissionsBoundary": chosen} if chosen else {}
            how = self._may("iam:CreateRole", _thing(arn), **context)
            written = any(self._may(f"iam:{action}", _thing(arn), **context) for action in WRITES)
            if how and written:
                role = Principal(name, arn, self.start.environment, arn.split(":")[4], [EVERYTHING], document, {})
                self._add(role, (*how, f"makes {name} with the boundary {chosen.rpartition('/')[2] or 'of nobody'}"))

    def _add(self, principal: Principal, how: tuple[str, ...]) -> None:
        if self._key(principal) not in self._seen:
            self._seen.add(self._key(principal))
            self.powers.append(Power(principal, how))

    def _key(self, principal: Principal) -> tuple[str, int]:
        return principal.arn, _signature(principal)

    def escapes(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """Action and ARN of everything that is reached and must not be, with the first way there."""
        found: dict[tuple[str, str], tuple[str, ...]] = {}
        for power in self._asked:
            for ask in goals(self.ground, self.start.environment):
                if _ANSWERS[_signature(power.principal), ask]:
                    found.setdefault((ask[0], ask[1].arn), power.how)
        return found


def search(
    ground: Ground, starts: Sequence[Principal], boundaries: Mapping[str, Document] | None = None
) -> list[Search]:
    """Search from each start until it has escaped or gains no more; all side by side, so that few batches are asked."""
    searches = [Search(ground, start, boundaries or ground.boundaries) for start in starts]
    going = searches
    while going:
        asked = {
            (_signature(power.principal), ask): power.request(ask) for one in going for power, ask in one.questions()
        }
        decisions = decide(list(asked.values()))
        _ANSWERS.update({key: one.allowed for key, one in zip(asked, decisions, strict=True)})
        going = [one for one in going if one.gain()]
    return searches


def goals(ground: Ground, environment: str) -> list[Ask]:
    """What nobody who begins in `environment` may ever do."""
    key = (id(ground), environment)
    if key not in _GOALS:
        _GOALS[key] = [*_other_environment(ground.world, environment), *_protected(ground.world, environment)]
    return _GOALS[key]


_ANSWERS: dict[tuple[int, Ask], bool] = {}
"""Answers so far, for all searches: principals with the same documents get the same ones."""
_GOALS: dict[tuple[int, str], list[Ask]] = {}


def _other_environment(world: World, environment: str) -> list[Ask]:
    """Everything that can be done to one thing of each kind; what preprod offers is for reading, from prod."""
    things = world.of(names(environment).other_environment)
    examples = {thing.kind: thing for thing in things if "/promotions/" not in thing.arn}
    for part in ("index", "log stream"):  # the same actions as on the whole, and the same names
        del examples[part]
    offered = [thing for thing in things if "/promotions/" in thing.arn]
    asked = [(action, thing, ()) for thing in examples.values() for action in by_kind_in_short()[thing.kind]]
    reading = READ_OFFERED if environment == "prod" else []
    return asked + [
        (action, thing, ()) for thing in offered for action in by_kind_in_short()["object"] if action not in reading
    ]


def _protected(world: World, environment: str) -> list[Ask]:
    """What belongs to the administrator, in the attacker's own environment too."""
    own, account = world.arns(environment), world.accounts[environment]
    trail_logs = trail_bucket(account)
    objects = [
        own.objects(trail_logs, f"AWSLogs/{account}/CloudTrail/us-east-1/a.json.gz"),
        own.objects(own.names.state_bucket, "foundation/.pulumi/stacks/p/s.json"),
    ]
    buckets = [own.of("bucket", name) for name in (trail_logs, own.names.bucket, own.names.state_bucket)]
    alarm = own.of("alarm", own.names.function("dashboard").alarm("errors"))
    table = [
        ("iam", CHANGES_OF_A_ROLE, [own.of("role", role) for role in own.names.ci_roles]),
        (
            "iam",
            ("PutRolePolicy", "DeleteRole", "TagRole"),
            [own.of("role", name) for name in (own.names.safety_role, own.names.way_back_role)],
        ),
        (
            "states",
            ("UpdateStateMachine", "DeleteStateMachine"),
            [own.of("state machine", own.names.way_back)],
        ),
        ("iam", CHANGES_OF_A_POLICY, [own.of("policy", own.names.boundary)]),
        ("iam", CHANGES_OF_A_PROVIDER, [own.github_provider]),
        ("iam", ("CreateOpenIDConnectProvider",), [own.of("identity provider", "idp.example")]),
        ("iam", CHANGES_OF_A_USER, [f"arn:aws:iam::{account}:user/somebody"]),
        ("iam", ("AddUserToGroup", "PutGroupPolicy", "AttachGroupPolicy"), [f"arn:aws:iam::{account}:group/admins"]),
        ("cloudtrail", ("StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"), [own.of("trail", TRAIL)]),
        ("cloudwatch", ("SetAlarmState", "DisableAlarmActions"), [alarm]),
        ("s3", ("DeleteObject", "PutObject", "GetObject"), objects),
        (
            "s3",
            ("DeleteObject", "DeleteObjectVersion"),
            [own.objects(own.names.bucket, "ledger/entries/00000001.json")],
        ),
        ("s3", ("PutBucketPolicy", "PutBucketVersioning", "PutLifecycleConfiguration", "DeleteBucket"), buckets),
    ]
    return [
        (f"{service}:{action}", _thing(arn, account), ())
        for service, actions, arns in table
        for arn in arns
        for action in actions
    ]


def _thing(arn: str, account: str = "") -> Thing:
    return Thing("", arn, "", account or arn.split(":")[4])


def _kept(role: Principal) -> dict[str, str]:
    """The boundary that a role has, as the context of a call that changes the role."""
    if role.boundary is None:
        return {}
    own = f"arn:aws:iam::{role.account}:policy/{names(role.environment).boundary}"
    return {"iam:PermissionsBoundary": own}


def _context(context: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(context.items()))


_SIGNATURES: dict[tuple[str, ...], int] = {}


def _signature(principal: Principal) -> int:
    """The same number for principals that may do the same."""
    documents = (principal.arn, *map(str, principal.policies), str(principal.boundary))
    return _SIGNATURES.setdefault(documents, len(_SIGNATURES))
