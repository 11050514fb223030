"""The sessions join, as SQL written once, and the columns that it reads.

Inputs, each already of the right days:
    started         CloudTrail rows of ssm StartSession on the day, with the fields of their request (request.py)
    started_before  the same of the day before: whose sessions may still be typing
    resumed         CloudTrail rows of ssm ResumeSession on the day and the day after
    typed           session log events of the day and of the day after, `is_today` telling them apart: TYPED_SQL
Parameters: $as_of (UTC timestamp), $sla_minutes, $not_loggable (list), $default_document.

A transcript is put together in the order of log event time and then of the place in the source. The agent packs
whole lines into a log event and leaves out the last newline of each, streamed or plain.
"""

from __future__ import annotations

SERVICE, START_EVENT, RESUME_EVENT = "ssm.amazonaws.com", "StartSession", "ResumeSession"

STARTED_COLUMNS = (
    "eventtime", "sessionid", "sessionowner", "useridentity_arn", "useridentity_type", "useridentity_accountid",
    "useridentity_sessioncontext_sourceidentity", "useridentity_sessioncontext_sessionissuer_arn",
    "useridentity_sessioncontext_attributes_mfaauthenticated", "sourceipaddress", "useragent", "recipientaccountid",
    "awsregion", "requestparameters", "errorcode", "errormessage", "eventid",
)  # fmt: skip
NAME_COLUMNS = ("sessionid", "sessionowner")
TYPED_COLUMNS = (
    "eventtime", "sessionid", "sessionowner", "owner", "loggroup", "logstream", "awsregion", "target",
    "useridentity_arn", "runasuser", "sessiondata", "source_object", "source_ordinal",
)  # fmt: skip

# Inputs are typed_today and typed_after, log events, and uploaded_today and uploaded_after, uploads to S3 in the same
# columns. An upload repeats what was streamed: it counts only where CloudWatch has no text of its session. The same
# text uploaded again (a copied bucket) is one upload.
TYPED_SQL = """
SELECT *, true AS is_today FROM typed_today UNION ALL SELECT *, false AS is_today FROM typed_after
UNION ALL
SELECT u.* FROM (
  SELECT * FROM (
    SELECT *, true AS is_today FROM uploaded_today UNION ALL SELECT *, false AS is_today FROM uploaded_after
  ) QUALIFY row_number() OVER (
    PARTITION BY sessionid, sessionowner, sessiondata ORDER BY eventtime, source_object
  ) = 1
) u ANTI JOIN (
  SELECT sessionid, sessionowner FROM typed_today WHERE sessiondata IS NOT NULL
  UNION SELECT sessionid, sessionowner FROM typed_after WHERE sessiondata IS NOT NULL
) t ON u.sessionid = t.sessionid AND u.sessionowner = t.sessionowner
"""

_TRANSCRIPT = """
  SELECT sessionid, sessionowner,
         string_agg(piece, '' ORDER BY eventtime, source_object, source_ordinal) AS text,
         count(*) AS chunks, count(sessiondata) - count(DISTINCT sessiondata) AS repeated_chunks,
         min(eventtime) AS first_output_time, max(eventtime) AS last_output_time,
         max(nullif(runasuser, '')) AS runasuser, max(owner) AS owner, max(awsregion) AS awsregion,
         max(target) AS target, max(useridentity_arn) AS useridentity_arn, max(loggroup) AS loggroup,
         max(logstream) AS logstream
  FROM (SELECT *, CASE WHEN sessiondata IS NULL THEN '' ELSE concat(sessiondata, chr(10)) END AS piece
        FROM typed WHERE {days})
  GROUP BY sessionid, sessionowner
"""

SESSIONS_SQL = f"""
WITH opened AS (
  SELECT * REPLACE (coalesce(documentname, $default_document) AS documentname) FROM started
), transcripts AS ({_TRANSCRIPT.format(days="true")}),
orphans AS ({_TRANSCRIPT.format(days="is_today")}),
resumptions AS (
  SELECT sessionid, sessionowner, count(*) AS resumes FROM resumed GROUP BY sessionid, sessionowner
), known AS (
  SELECT sessionid, sessionowner FROM started WHERE sessionid IS NOT NULL
  UNION SELECT sessionid, sessionowner FROM started_before WHERE sessionid IS NOT NULL
), started_rows AS (
  SELECT o.eventtime, o.sessionid, o.sessionowner,
         CASE WHEN o.errorcode IS NOT NULL OR o.sessionid IS NULL THEN 'not_started'
              WHEN t.chunks IS NOT NULL THEN 'captured'
              WHEN regexp_extract(o.documentname, '[^/]*$') IN (SELECT unnest($not_loggable)) THEN 'not_loggable'
              WHEN o.eventtime > $as_of - to_minutes($sla_minutes) THEN 'pending'
              ELSE 'missing' END AS keystroke_status,
         o.useridentity_arn, o.useridentity_type, o.useridentity_accountid,
         o.useridentity_sessioncontext_sourceidentity AS sourceidentity,
         o.useridentity_sessioncontext_sessionissuer_arn AS issuer_arn,
         o.useridentity_sessioncontext_attributes_mfaauthenticated AS mfaauthenticated,
         o.sourceipaddress, o.useragent, o.recipientaccountid, o.awsregion,
         coalesce(o.target, t.target) AS target, o.documentname, o.reason, o.parameters,
         o.errorcode, o.errormessage, o.eventid,
         t.runasuser, t.first_output_time, t.last_output_time, t.chunks, t.repeated_chunks, t.text, t.loggroup,
         t.logstream, r.resumes
  FROM opened o LEFT JOIN transcripts t ON o.sessionid = t.sessionid AND o.sessionowner = t.sessionowner
       LEFT JOIN resumptions r ON o.sessionid = r.sessionid AND o.sessionowner = r.sessionowner
), orphan_rows AS (
  SELECT t.first_output_time AS eventtime, t.sessionid, t.sessionowner, 'orphan' AS keystroke_status,
         t.useridentity_arn, NULL AS useridentity_type, NULL AS useridentity_accountid, NULL AS sourceidentity,
         NULL AS issuer_arn, NULL AS mfaauthenticated, NULL AS sourceipaddress, NULL AS useragent,
         t.owner AS recipientaccountid, t.awsregion, t.target, NULL AS documentname, NULL AS reason, NULL AS parameters,
         NULL AS errorcode, NULL AS errormessage, NULL AS eventid,
         t.runasuser, t.first_output_time, t.last_output_time, t.chunks, t.repeated_chunks, t.text, t.loggroup,
         t.logstream, r.resumes
  FROM orphans t LEFT JOIN resumptions r ON t.sessionid = r.sessionid AND t.sessionowner = r.sessionowner
       ANTI JOIN known k ON t.sessionid = k.sessionid AND t.sessionowner = k.sessionowner
), whole AS (
  SELECT * REPLACE (CASE WHEN ends_with(text, chr(10)) THEN left(text, length(text) - 1) ELSE text END AS text)
  FROM (SELECT * FROM started_rows UNION ALL SELECT * FROM orphan_rows)
)
SELECT eventtime, sessionid, sessionowner, keystroke_status,
       CASE WHEN keystroke_status = 'pending' THEN $as_of END AS statusasof,
       useridentity_arn, useridentity_type, useridentity_accountid, sourceidentity, issuer_arn, mfaauthenticated,
       sourceipaddress, useragent, recipientaccountid, awsregion, target, documentname, reason, parameters,
       errorcode, errormessage, eventid, runasuser, first_output_time, last_output_time,
       coalesce(resumes, 0) AS resumes, coalesce(chunks, 0) AS chunks, coalesce(repeated_chunks, 0) AS repeated_chunks,
       CASE WHEN coalesce(text, '') = '' THEN 0
            ELSE length(text) - length(replace(text, chr(10), '')) + 1 END AS lines,
       coalesce(octet_length(encode(text)), 0) AS bytes, text AS sessiondata, loggroup, logstream
FROM whole
ORDER BY eventtime, eventid, sessionowner, sessionid
"""
