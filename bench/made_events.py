"""Made CloudTrail records: one call, one caller, one dictionary in the documented shape.

Holds what a record looks like and how often each oddity comes; where it is filed and what is counted is
workload.py's. Each oddity comes every n-th record instead of by chance: some fifty events hold all of them.
The shapes follow real trail files: a tenth are errors, most lack `resources`, services call without an ARN.
"""

import dataclasses
import datetime as dt
import random
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"

Json = Any
Event = dict[str, Json]

# Every n-th record is ...
SERVICE_EVENT_EVERY = 41
BARE_CALLER_EVERY = 37
WIDE_EVERY = 29
NULLED_EVERY = 23
SPARSE_EVERY = 17
ERROR_EVERY = 11
ANNOTATED_EVERY = 7

ERRORS = (
    ("AccessDenied", "User: {arn} is not authorized to perform: {action} because no policy allows it"),
    ("Client.UnauthorizedOperation", "You are not authorized to perform this operation."),
    ("ThrottlingException", "Rate exceeded"),
    ("NoSuchKey", "The specified key does not exist: caf\u00e9/\u65e5\u672c/<none> & more"),
)
USER_AGENTS = (
    "aws-cli/2.17.5 md/awscrt#0.20.11 ua/2.0 os/linux#6.1 md/arch#x86_64 lang/python#3.11.8",
    "APN/1.0 HashiCorp/1.0 Terraform/1.5.7 aws-sdk-go/1.44.261 (go1.19.8; linux; amd64)",
    "Boto3/1.34.51 md/Botocore#1.34.51 ua/2.0 os/linux#5.10 lang/python#3.12.2",
    "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.10 OpenJDK_64-Bit_Server_VM/25.372]",
    "aws-sdk-go/1.51.0 (go1.21.8; linux; amd64) amazon-ssm-agent/3.3.131.0",
)


class Draw(random.Random):
    """A seeded source of the small values that records are made of. The same seed gives the same workload."""

    def hexadecimal(self, digits: int) -> str:
        return f"{self.getrandbits(4 * digits):0{digits}x}"

    def base36(self, digits: int) -> str:
        return "".join(self.choices(LETTERS + DIGITS, k=digits))

    def alphanumeric(self, digits: int) -> str:
        """As in CloudTrail's file names: both cases and digits."""
        return "".join(self.choices(LETTERS.upper() + LETTERS + DIGITS, k=digits))

    def guid(self) -> str:
        h = self.hexadecimal(32)
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"

    def address(self) -> str:
        return f"10.{self.randrange(256)}.{self.randrange(256)}.{self.randrange(1, 255)}"


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """An API that somebody calls: `weight` is its share among the background events."""

    service: str
    name: str
    weight: float
    is_read: bool = True

    @property
    def source(self) -> str:
        return f"{self.service}.amazonaws.com"


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, with the address and agent that go with it. A service has no ARN and no TLS details."""

    identity: Event
    address: str
    user_agent: str
    is_service: bool = False

    @property
    def arn(self) -> str:
        return str(self.identity.get("arn", self.identity.get("invokedBy")))


# Athena's StartSession comes first: it must never be taken for a Session Manager session.
CALLS = (
    Call("athena", "StartSession", 0.02, is_read=False),
    Call("s3", "GetObject", 28),
    Call("kms", "Decrypt", 19),
    Call("sts", "AssumeRole", 17),
    Call("ec2", "DescribeInstances", 12),
    Call("ssm", "UpdateInstanceInformation", 9, is_read=False),
    Call("logs", "CreateLogStream", 6, is_read=False),
    Call("dynamodb", "PutItem", 3, is_read=False),
    Call("iam", "ListRoles", 2),
    Call("iam", "PutRolePolicy", 1, is_read=False),
    Call("sqs", "ReceiveMessage", 1),
    Call("sts", "AssumeRoleWithSAML", 1),
    Call("ec2", "RunInstances", 0.5, is_read=False),
)
START_SESSION = Call("ssm", "StartSession", 0, is_read=False)


def zulu(epoch: int) -> str:
    """Whole seconds since the epoch as CloudTrail writes a time: 2026-11-01T23:59:58Z."""
    return dt.datetime.fromtimestamp(epoch, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def assumed_role(account: str, role: str, session: str, creation_time: str, draw: Draw) -> Event:
    """An identity whose session name, the ARN's last part, is what Session Manager takes as the owner."""
    principal = f"AROA{draw.hexadecimal(17).upper()}"
    return {
        "type": "AssumedRole",
        "principalId": f"{principal}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        "accountId": account,
        "accessKeyId": f"ASIAEXAMPLE{draw.hexadecimal(9).upper()}",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role",
                "principalId": principal,
                "arn": f"arn:aws:iam::{account}:role/{role}",
                "accountId": account,
                "userName": role,
            },
            "webIdFederationData": {},
            "attributes": {"creationDate": creation_time, "mfaAuthenticated": draw.choice(("true", "false"))},
        },
    }


def iam_user(account: str, name: str, draw: Draw) -> Event:
    return {
        "type": "IAMUser",
        "principalId": f"AIDA{draw.hexadecimal(17).upper()}",
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": f"AKIAEXAMPLE{draw.hexadecimal(9).upper()}",
        "userName": name,
    }


def callers_of(account: str, midnight: int, draw: Draw) -> list[Caller]:
    """The principals of one account: mostly roles that people took, a pipeline, users, root, services."""
    identities = []
    for n in range(24):
        session = f"user{draw.randrange(400)}@example.com"
        identities.append(assumed_role(account, f"Role-{n % 7}", session, zulu(midnight + 60 * n), draw))
    federated = assumed_role(account, "Deploy", "pipeline", zulu(midnight), draw)
    federated["sessionContext"]["webIdFederationData"] = {
        "federatedProvider": f"arn:aws:iam::{account}:oidc-provider/ci.example.com",
        "attributes": {"ci.example.com:sub": "repo:orders"},
    }
    users = [iam_user(account, name, draw) for name in ("zo\u00eb", "backup-job", "legacy.app")]
    root = {"type": "Root", "principalId": account, "arn": f"arn:aws:iam::{account}:root", "accessKeyId": ""}
    everybody = [*identities, federated, *users, root | {"accountId": account}]
    people = [Caller(identity, draw.address(), draw.choice(USER_AGENTS)) for identity in everybody]
    services = [
        Caller({"type": "AWSService", "invokedBy": name}, name, name, is_service=True)
        for name in ("ec2.amazonaws.com", "lambda.amazonaws.com")
    ]
    return people + services


class EventMaker:
    """Makes records; remembers the callers of each account and how many records it has made."""

    def __init__(self, midnight: int, draw: Draw) -> None:
        self._midnight, self._draw = midnight, draw
        self._callers: dict[str, list[Caller]] = {}
        self._made = 0

    def background(self, account: str, region: str, epoch: int, call: Call) -> Event:
        """One event of everyday traffic, with the oddity that is due."""
        self._made += 1
        n = self._made
        if account not in self._callers:
            self._callers[account] = callers_of(account, self._midnight, self._draw)
        if n % SERVICE_EVENT_EVERY == 0 and call.name != "StartSession":
            return self._service_event(account, region, epoch, call)
        caller = self._draw.choice(self._callers[account])
        event = self.record(account, region, epoch, call, caller)
        event["requestParameters"], event["responseElements"] = self._call_trees(account, region, call)
        if n % WIDE_EVERY == 0:
            event["requestParameters"] = self._wide_tree(account)
        if n % ERROR_EVERY == 0:
            code, message = self._draw.choice(ERRORS)
            event["errorCode"] = code
            event["errorMessage"] = message.format(arn=caller.arn, action=f"{call.service}:{call.name}")
            event["responseElements"] = None
        if n % ANNOTATED_EVERY == 0:
            self._annotate(event, account, region)
        _thin(event, n)
        return event

    def record(self, account: str, region: str, epoch: int, call: Call, caller: Caller) -> Event:
        """The fields that every API call has, in CloudTrail's order; both trees are null."""
        draw = self._draw
        event: Event = {
            "eventVersion": draw.choice(("1.08", "1.09", "1.10", "1.11")),
            "userIdentity": caller.identity,
            "eventTime": zulu(epoch),
            "eventSource": call.source,
            "eventName": call.name,
            "awsRegion": region,
            "sourceIPAddress": caller.address,
            "userAgent": caller.user_agent,
            "requestParameters": None,
            "responseElements": None,
            "requestID": draw.guid(),
            "eventID": draw.guid(),
            "readOnly": call.is_read,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": account,
            "eventCategory": "Management",
        }
        if not caller.is_service:
            event["tlsDetails"] = {
                "tlsVersion": "TLSv1.3",
                "cipherSuite": "TLS_AES_128_GCM_SHA256",
                "clientProvidedHostHeader": f"{call.service}.{region}.amazonaws.com",
            }
        return event

    def _service_event(self, account: str, region: str, epoch: int, call: Call) -> Event:
        """An AwsServiceEvent: an identity without type, no requestID, its tree in serviceEventDetails."""
        identity = {"accountId": account, "invokedBy": "AWS Internal"}
        caller = Caller(identity, "AWS Internal", "AWS Internal", is_service=True)
        event = self.record(account, region, epoch, call, caller)
        del event["requestID"]
        event["eventType"] = "AwsServiceEvent"
        event["serviceEventDetails"] = {
            "keyId": self._draw.guid(),
            "rotation": {"ordinal": 3, "previous": None},
        }
        return event

    def _call_trees(self, account: str, region: str, call: Call) -> tuple[Json, Json]:
        """The request and the response of a call; a response is null for most APIs that only read."""
        draw = self._draw
        match call.name:
            case "GetObject":
                bucket, key = f"data-{draw.randrange(99)}", f"orders/{draw.hexadecimal(8)}.parquet"
                return {"bucketName": bucket, "Host": f"{bucket}.s3.{region}.amazonaws.com", "key": key}, None
            case "Decrypt":
                arn = f"arn:aws:s3:::data-{draw.randrange(99)}/{draw.hexadecimal(8)}"
                return {
                    "encryptionContext": {"aws:s3:arn": arn},
                    "encryptionAlgorithm": "SYMMETRIC_DEFAULT",
                }, None
            case "AssumeRole" | "AssumeRoleWithSAML":
                return self._assume_role_trees(account)
            case "DescribeInstances":
                items = [{"instanceId": f"i-0{draw.hexadecimal(16)}"}]
                return {"instancesSet": {"items": items}, "filterSet": {}}, None
            case "RunInstances":
                wanted = [{"imageId": "ami-0abc", "minCount": 1, "maxCount": 1}]
                made = [
                    {
                        "instanceId": f"i-0{draw.hexadecimal(16)}",
                        "instanceState": {"code": 0, "name": "pending"},
                    }
                ]
                return {"instancesSet": {"items": wanted}}, {"instancesSet": {"items": made}}
            case "StartSession":
                return {"workGroup": "primary", "engineConfiguration": {}}, {"sessionId": draw.guid()}
            case "PutRolePolicy":
                policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*"}]}'
                return {"roleName": f"Role-{draw.randrange(7)}", "policyDocument": policy}, None
            case _:
                return {
                    "name": f"{call.service}/{draw.hexadecimal(6)}",
                    "maxResults": draw.randrange(1, 100),
                }, None

    def _assume_role_trees(self, account: str) -> tuple[Json, Json]:
        role, session = f"Role-{self._draw.randrange(60)}", f"user{self._draw.randrange(400)}@example.com"
        request = {
            "roleArn": f"arn:aws:iam::{account}:role/{role}",
            "roleSessionName": session,
            "durationSeconds": 3600,
        }
        arn = f"arn:aws:sts::{account}:assumed-role/{role}/{session}"
        credentials = {"accessKeyId": "ASIAEXAMPLE", "sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS"}
        return request, {"credentials": credentials, "assumedRoleUser": {"arn": arn}}

    def _wide_tree(self, account: str) -> Json:
        """What breaks readers that type trees: integers above 2**64, whole floats, odd keys, nested lists."""
        return {
            "sequence": 2**64 + self._draw.getrandbits(70),
            "ratio": 1.0,
            "a.dotted.key": {
                "": "empty key",
                "nested": [[1, 2.5e-7, None], [{"deep": {"deeper": [True, False]}}]],
            },
            "Tag": "case",
            "tag": "collides",
            "name": "Gr\u00f6\u00dfe \u65e5\u672c\u8a9e \U0001f680 <b>&amp;</b> \u2028 \u0007",
            "tagSet": {"items": [{"key": "owner", "value": f"team-{self._draw.randrange(30)}"}, {"key": account}]},
        }

    def _annotate(self, event: Event, account: str, region: str) -> None:
        draw = self._draw
        key = f"arn:aws:kms:{region}:{account}:key/{draw.randrange(50)}"
        event["resources"] = [
            {"accountId": account, "type": "AWS::KMS::Key", "ARN": key},
            {"type": "AWS::S3::Object", "ARNPrefix": f"arn:aws:s3:::data-{draw.randrange(99)}/"},
        ]
        event["additionalEventData"] = {
            "bytesTransferredIn": 0.0,
            "bytesTransferredOut": draw.randrange(10**9),
        }
        event["vpcEndpointId"] = f"vpce-{draw.hexadecimal(17)}"
        event["sessionCredentialFromConsole"] = "true"


def _thin(event: Event, n: int) -> None:
    """Takes fields away or sets them to null, as old versions, services and hand-made files do."""
    if n % SPARSE_EVERY == 0:
        for name in ("tlsDetails", "managementEvent", "eventCategory", "requestID"):
            event.pop(name, None)
    if n % NULLED_EVERY == 0:
        event.update(requestParameters=None, apiVersion=None, additionalEventData=None)
    if n % BARE_CALLER_EVERY == 0:
        event["userIdentity"] = None
