"""Patches of moto's SNS: deliveries leave in the background, also to our Lambda service; mails wait to be confirmed."""

import functools
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from urllib.parse import quote

import urllib3
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.core.responses import ActionResult
from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription
from moto.sns.responses import SNSResponse

# SNS itself tries for hours; a rehearsal is over by then.
_DELAYS_S = (0.2, 1.0, 3.0)
_TIMEOUT_S = 30.0
_CLIENT_ERROR, _TOO_MANY, _SERVER_ERROR = 400, 429, 500

_MAIL = frozenset({"email", "email-json"})

_http = urllib3.PoolManager(maxsize=8, retries=False, timeout=_TIMEOUT_S)
_deliveries = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sns-delivery")


def deliver_to_lambda() -> None:
    """Lambda subscriptions: moto calls its own Lambda, in the publisher's request; ours is another process."""
    publish = Subscription.publish

    def deliver(self: Subscription, message: str, message_id: str, *args: Any, **kwargs: Any) -> None:
        if self.protocol != "lambda":
            publish(self, message, message_id, *args, **kwargs)
            return
        attributes = kwargs.get("message_attributes")
        matcher = self._filter_policy_matcher
        if matcher is not None and not matcher.matches(attributes, message):
            return
        if kwargs.get("message_structure") == "json":
            message = self._parse_message_structure(message, "lambda")
        event = lambda_event(
            subscription_arn=self.arn,
            topic_arn=self.topic.arn,
            message=message,
            message_id=message_id,
            subject=kwargs.get("subject"),
            attributes=attributes,
        )
        _deliveries.submit(_deliver, f"{self.topic.arn} to {self.endpoint}", lambda: _invoke(self.endpoint, event))

    Subscription.publish = deliver


def share_one_signing_key() -> None:
    """Signatures: moto makes an RSA key per subscription, a tenth of a second of everybody's time."""

    @functools.cache
    def key() -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    setattr(Subscription, "private_key", lambda _: key())  # noqa: B010 - moto's is a cache object, not a method


def make_mails_wait_for_confirmation() -> None:
    """Subscriptions by mail: moto confirms them itself. SNS waits, lists them without an ARN and cannot remove them.

    Nobody gets a mail here: the log says what it would ask for, and the token is the end of the subscription's ARN.
    """
    subscribe, answer_subscribe = SNSBackend.subscribe, SNSResponse.subscribe
    unsubscribe = SNSBackend.unsubscribe

    def ask(self: SNSBackend, topic_arn: str, endpoint: str, protocol: str) -> Subscription:
        known = self._find_subscription(topic_arn, endpoint, protocol)
        subscription = subscribe(self, topic_arn, endpoint, protocol)
        if protocol in _MAIL and known is None:
            subscription.attributes |= {"PendingConfirmation": True, "ConfirmationWasAuthenticated": False}
            token = subscription.arn.rpartition(":")[2]
            sys.stderr.write(
                f"a mail to {endpoint}: aws sns confirm-subscription --topic-arn {topic_arn} --token {token}\n"
            )
        return subscription

    def answer(self: SNSResponse) -> ActionResult:
        result = answer_subscribe(self)
        arn = cast("dict[str, str]", result.result)["SubscriptionArn"]
        if _is_pending(self.backend.subscriptions[arn]) and self._get_param("ReturnSubscriptionArn") not in {
            True,
            "true",
        }:
            return ActionResult({"SubscriptionArn": "pending confirmation"})
        return result

    def remove(self: SNSBackend, subscription_arn: str) -> None:
        known = self.subscriptions.get(subscription_arn)
        if known is not None and _is_pending(known):
            raise SNSInvalidParameter(
                "Invalid parameter: SubscriptionArn Reason: "
                "Cannot unsubscribe a subscription that is pending confirmation"
            )
        unsubscribe(self, subscription_arn)

    def confirm(self: SNSResponse) -> ActionResult:
        arn = f"{self._get_param('TopicArn')}:{self._get_param('Token')}"
        subscription = self.backend.subscriptions.get(arn)
        if subscription is None:
            raise SNSInvalidParameter("Invalid parameter: Token")
        subscription.attributes["PendingConfirmation"] = False
        return ActionResult({"SubscriptionArn": arn})

    SNSBackend.subscribe, SNSBackend.unsubscribe = ask, remove
    SNSResponse.subscribe, SNSResponse.confirm_subscription = answer, confirm
    shown = property(lambda one: "PendingConfirmation" if _is_pending(one) else one.arn)
    setattr(Subscription, "subscription_arn", shown)  # noqa: B010 (new to the class)


def _is_pending(subscription: Subscription) -> bool:
    return subscription.attributes.get("PendingConfirmation") is True


def lambda_event(
    *,
    subscription_arn: str,
    topic_arn: str,
    message: str,
    message_id: str,
    subject: str | None,
    attributes: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the event by which SNS hands one message to a function."""
    notification = {
        "SignatureVersion": "1",
        "Timestamp": iso_8601_datetime_with_milliseconds(),
        "Signature": "made-up",
        "SigningCertUrl": "https://sns.us-east-1.amazonaws.com/made-up.pem",
        "MessageId": message_id,
        "Message": message,
        "MessageAttributes": {
            name: {"Type": value["Type"], "Value": value["Value"]} for name, value in (attributes or {}).items()
        },
        "Type": "Notification",
        "UnsubscribeUrl": f"https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription_arn}",
        "TopicArn": topic_arn,
        "Subject": subject,
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription_arn,
        "Sns": notification,
    }
    return {"Records": [record]}


def _invoke(function_arn: str, event: dict[str, Any]) -> urllib3.BaseHTTPResponse:
    """Ask the Lambda service for an asynchronous run, through the alias or version that is subscribed."""
    endpoint = os.environ["AWS_ENDPOINT_URL_LAMBDA"].rstrip("/")
    name, _, qualifier = function_arn.split(":function:", 1)[1].partition(":")
    url = f"{endpoint}/2015-03-31/functions/{quote(name)}/invocations"
    if qualifier:
        url += f"?Qualifier={quote(qualifier)}"
    headers = {
        "X-Amz-Invocation-Type": "Event",
        "Content-Type": "application/json",
        # Not a signature that anybody could check: it names the account and service, as a signed call would.
        "Authorization": "AWS4-HMAC-SHA256 Credential=sns/20260101/us-east-1/lambda/aws4_request, "
        "SignedHeaders=host, Signature=made-up",
    }
    return _http.request("POST", url, body=json.dumps(event).encode(), headers=headers)


def _deliver(what: str, send: Callable[[], urllib3.BaseHTTPResponse]) -> None:
    """Try until the receiver takes the message, refuses it for good, or the tries are used up."""
    for delay in (*_DELAYS_S, None):
        try:
            answer = send()
            if answer.status < _CLIENT_ERROR:
                return
            problem = f"{answer.status} {answer.data[:200]!r}"
            final = answer.status < _SERVER_ERROR and answer.status != _TOO_MANY
        except (urllib3.exceptions.HTTPError, KeyError) as error:
            problem, final = f"{type(error).__name__}: {error}", False
        if final or delay is None:
            sys.stderr.write(f"SNS gave up a delivery of {what}: {problem}\n")
            return
        time.sleep(delay)
