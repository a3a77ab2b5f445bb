"""The gRPC service that the engine talks to: each request is turned into the calls of one resource type."""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage  # ty: ignore[missing-module-member]
from google.protobuf.empty_pb2 import Empty  # ty: ignore[missing-module-member]
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from localcloud.aws_provider.check import Failure, check_inputs
from localcloud.aws_provider.cloud import Call, Cloud, CloudError, explained, found
from localcloud.aws_provider.diff import PropertyDiff, changes, must_delete_first
from localcloud.aws_provider.registry import UnknownTypeError, resource_type_of
from localcloud.aws_provider.resource_type import ResourceType
from localcloud.aws_provider.settings import check_settings, read_settings
from localcloud.aws_provider.state import derived_inputs, previewed, settle, with_defaults
from localcloud.aws_provider.values import (
    UNKNOWN,
    Secret,
    mark_like,
    plain,
    struct_from_wire,
    struct_to_wire,
)

VERSION = "7.51.1"


class _InitFailedError(Exception):
    """The resource exists, but not all of it could be put in place; carries what the state must hold."""

    def __init__(self, detail: provider_pb2.ErrorResourceInitFailed) -> None:
        super().__init__(", ".join(detail.reasons))
        self.detail = detail


def _answers(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turns exceptions into gRPC errors whose text a person can act on."""

    @functools.wraps(method)
    def answer(self: "AwsProvider", request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except _InitFailedError as error:
            detail = AnyMessage()
            detail.Pack(error.detail)
            status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except UnknownTypeError as error:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, str(error))
        except (CloudError, ValueError) as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except Exception as error:  # whatever it is, the engine has to hear it, with its resource
            where = f"{request.type} {request.name}: " if getattr(request, "name", "") else ""
            kind = "" if hasattr(error, "response") else f"{type(error).__name__}: "
            context.abort(grpc.StatusCode.UNKNOWN, f"{where}{kind}{explained(error)}")

    return answer


class AwsProvider(provider_pb2_grpc.ResourceProviderServicer):
    """One AWS provider with one configuration. Requests run in many threads at once."""

    cloud: Cloud
    """Set by Configure, which the engine sends before it asks about any resource."""

    # -- the plugin itself

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Says what kinds of values this plugin understands."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_resources=False, accept_outputs=False)

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """The version that this plugin stands in for."""
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """No schema: programs bring their SDK."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    @_answers
    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Refuses settings that the real provider does not have."""
        return _checked(request.news, check_settings(struct_from_wire(request.news)))

    @_answers
    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """A new region replaces the provider, like the real one; any other setting is taken over."""
        old, new = (plain(struct_from_wire(struct)) for struct in (request.olds, request.news))
        replaces = [name for name in ("region",) if old.get(name) is not None and old.get(name) != new.get(name)]
        differs = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        answer = provider_pb2.DiffResponse
        return answer(replaces=replaces, diffs=differs, changes=answer.DIFF_SOME if differs else answer.DIFF_NONE)

    @_answers
    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Takes the settings and checks the account."""
        raw = struct_from_wire(request.args)
        failures = check_settings(raw)
        if failures:
            raise ValueError("; ".join(reason for _, reason in failures))
        cloud = Cloud(read_settings(raw, os.environ))
        cloud.check_account()
        self.cloud = cloud
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, acceptResources=False, acceptOutputs=False, supportsPreview=True
        )

    @_answers
    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Refuses every data source: the program makes no AWS invokes (design.md)."""
        raise UnknownTypeError(
            f"the stand-in for the AWS provider does not know the function {request.tok}. The program makes no AWS "
            "invokes (design.md); if it must, add the function to AwsProvider.Invoke in "
            "localcloud/aws_provider/server.py"
        )

    # -- resources

    @_answers
    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Refuses inputs that the real provider refuses."""
        failures = check_inputs(resource_type_of(request.type), struct_from_wire(request.news))
        return _checked(request.news, failures)

    @_answers
    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Compares what the state holds with what the program wants."""
        resource_type = resource_type_of(request.type)
        state, inputs = plain(struct_from_wire(request.olds)), plain(struct_from_wire(request.news))
        changed = changes(resource_type, state, inputs, region=self.cloud.settings.region)
        replaces = sorted({change.path for change in changed if change.replaces})
        answer = provider_pb2.DiffResponse
        return answer(
            changes=answer.DIFF_SOME if changed else answer.DIFF_NONE,
            diffs=sorted({change.top for change in changed}),
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and must_delete_first(resource_type, state, inputs),
            hasDetailedDiff=True,
            detailedDiff={
                change.path: provider_pb2.PropertyDiff(kind=_kind(change), inputDiff=True) for change in changed
            },
        )

    @_answers
    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Makes a resource, or says what making it would give."""
        resource_type = resource_type_of(request.type)
        inputs = struct_from_wire(request.properties)
        call = self._call(request, resource_type, {}, with_defaults(resource_type, plain(inputs)))
        if request.preview:
            outputs = previewed(resource_type, plain(inputs))
            if "region" in resource_type.properties:
                outputs["region"] = call.region
            return provider_pb2.CreateResponse(properties=_marked(resource_type, outputs, inputs))
        try:
            resource_id = resource_type.create(call)
            call.made(resource_id)
            outputs = _outputs(resource_type, replace(call, id=resource_id, state=call.inputs))
            if outputs is None:
                raise CloudError(f"AWS made {request.type} {resource_id}, and then did not know it")  # noqa: TRY301
        except Exception as error:
            if call.made_id:
                made = replace(call, id=call.made_id, state=call.inputs)
                replacing = {name for name, declared in resource_type.properties.items() if declared.replaces}
                known = {name: value for name, value in call.inputs.items() if name in replacing}
                raise _unfinished(resource_type, made, inputs, error, otherwise=known) from error
            raise
        return provider_pb2.CreateResponse(id=resource_id, properties=_marked(resource_type, outputs, inputs))

    @_answers
    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """What AWS has now, and the inputs that would make it. An empty id says that it is gone."""
        resource_type = resource_type_of(request.type)
        state, inputs = struct_from_wire(request.properties), struct_from_wire(request.inputs)
        call = self._call(request, resource_type, plain(state), {})
        outputs = _outputs(resource_type, call)
        if outputs is None:
            return provider_pb2.ReadResponse()
        derived = derived_inputs(resource_type, outputs, plain(inputs))
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=_marked(resource_type, outputs, {**state, **inputs}),
            inputs=struct_to_wire(mark_like(derived, inputs)),
        )

    @_answers
    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Changes a resource in place, or says what changing it would give."""
        resource_type = resource_type_of(request.type)
        state, inputs = plain(struct_from_wire(request.olds)), struct_from_wire(request.news)
        call = self._call(request, resource_type, state, with_defaults(resource_type, plain(inputs)))
        found_changes = changes(resource_type, state, plain(inputs), region=call.region)
        call.changed = frozenset(change.top for change in found_changes)
        if request.preview:
            outputs = _updated_preview(resource_type, call)
            return provider_pb2.UpdateResponse(properties=_marked(resource_type, outputs, inputs))
        try:
            _update(resource_type, call)
            outputs = _outputs(resource_type, replace(call, state={**state, **call.inputs}))
            if outputs is None:
                raise CloudError(f"{request.type} {request.id} no longer exists. Run `up --refresh`")  # noqa: TRY301
        except Exception as error:
            raise _unfinished(resource_type, call, inputs, error, otherwise=state) from error
        return provider_pb2.UpdateResponse(properties=_marked(resource_type, outputs, inputs))

    @_answers
    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002, N802
        """Removes a resource; one that is gone already is fine."""
        resource_type = resource_type_of(request.type)
        call = self._call(request, resource_type, plain(struct_from_wire(request.properties)), {})
        found(lambda: resource_type.delete(call))
        return Empty()

    # -- shared steps

    def _call(self, request: Any, resource_type: ResourceType, state: dict[str, Any], inputs: dict[str, Any]) -> Call:
        return Call(
            cloud=self.cloud,
            service=resource_type.service or request.type.split(":")[1].split("/")[0],
            name=request.name,
            id=getattr(request, "id", ""),
            state=state,
            inputs=inputs,
        )


def _checked(inputs: Any, failures: list[Failure]) -> Any:
    """Return the answer to a check: the inputs as they came, and what is wrong with them."""
    wrong = [provider_pb2.CheckFailure(property=path, reason=reason) for path, reason in failures]
    return provider_pb2.CheckResponse(inputs=inputs, failures=wrong)


def _kind(change: PropertyDiff) -> Any:
    """Return a change's kind in the words of the protocol."""
    return provider_pb2.PropertyDiff.Kind.Value(change.kind.upper() + ("_REPLACE" if change.replaces else ""))


def _update(resource_type: ResourceType, call: Call) -> None:
    if resource_type.tagging and "tags" in call.changed:
        resource_type.tagging.sync(call)
    rest = call.changed - {"tags"} if resource_type.tagging else call.changed
    if rest and resource_type.update:
        resource_type.update(replace(call, changed=rest))


def _outputs(resource_type: ResourceType, call: Call) -> dict[str, Any] | None:
    """Return what AWS has, settled by what was before; None when it has nothing."""

    def read() -> dict[str, Any] | None:
        outputs = resource_type.read(call)
        if outputs is not None and resource_type.tagging and resource_type.tagging.list:
            outputs["tagsAll"] = resource_type.tagging.listed(call, outputs)
        return outputs

    answered = found(read)
    if answered is None:
        return None
    if "region" in resource_type.properties:
        answered["region"] = call.region
    if resource_type.tagged:
        answered["tags"] = answered["tagsAll"]
    return settle(resource_type, answered, call.state)


def _unfinished(
    resource_type: ResourceType, call: Call, inputs: dict[str, Any], error: Exception, *, otherwise: Mapping[str, Any]
) -> _InitFailedError:
    """Return the error for a resource that exists but is not as the program wants it; the next `up` goes on from there.

    Where AWS is out of reach, `otherwise` is what the state holds: the identity must not be lost.
    """
    try:
        outputs = _outputs(resource_type, call)
    except Exception:
        outputs = None
    reason = f"{resource_type.type_name} {call.name}: {explained(error)}"
    return _InitFailedError(
        provider_pb2.ErrorResourceInitFailed(
            id=call.id,
            properties=_marked(resource_type, outputs or otherwise, inputs),
            inputs=struct_to_wire(inputs),
            reasons=[reason],
        )
    )


def _updated_preview(resource_type: ResourceType, call: Call) -> dict[str, Any]:
    """Return the outputs an update would have: the state, what is wanted, and `UNKNOWN` for what AWS makes anew."""
    outputs = {
        name: value
        for name, value in call.state.items()
        if name not in resource_type.inputs
        or (name in resource_type.properties and resource_type.properties[name].computed)
    } | dict(call.inputs)
    if resource_type.tagged:
        outputs["tagsAll"] = call.tags
    fresh = resource_type.fresh_after(call.inputs, call.changed) if resource_type.fresh_after else ()
    return outputs | dict.fromkeys(fresh, UNKNOWN)


def _marked(resource_type: ResourceType, outputs: Mapping[str, Any], inputs: dict[str, Any]) -> Any:
    """Outputs on the wire, secret where the inputs are or where the real provider always says so."""
    marked = mark_like(outputs, inputs)
    for name, declared in resource_type.properties.items():
        if declared.secret and name in marked and not isinstance(marked[name], Secret):
            marked[name] = Secret(marked[name])
    if isinstance(inputs.get("tags"), Secret) and "tagsAll" in marked:
        marked["tagsAll"] = Secret(marked["tagsAll"])
    return struct_to_wire(marked)
