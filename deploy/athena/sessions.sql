-- made by `make docs` from the record of the table: change the record, not this file
-- How to use it: README.md beside this file.
-- A day is one partition, at the folder of its published version:
--   ALTER TABLE `loglake`.`sessions` ADD IF NOT EXISTS PARTITION (`eventday` = '2023-07-10') LOCATION 's3://example-lake/sessions/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
--   ALTER TABLE `loglake`.`sessions` PARTITION (`eventday` = '2023-07-10') SET LOCATION 's3://example-lake/sessions/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
CREATE EXTERNAL TABLE IF NOT EXISTS `loglake`.`sessions` (
  `eventtime` timestamp COMMENT 'When the session was started, for an orphan, its first output. (UTC)',
  `sessionid` string COMMENT 'Session: text after the last hyphen of its name, null if not started.',
  `sessionowner` string COMMENT 'Text before the last hyphen of the session’s name, null if not started.',
  `keystroke_status` string COMMENT 'captured: keystrokes were logged, pending: started less than the SLA before the table was made, and nothing logged yet, missing: should have been logged, and was not, not_loggable: port forwarding or SSH: Session Manager cannot log it, not_started: ref...',
  `statusasof` timestamp COMMENT 'When `pending` was judged, null for every other status. (UTC)',
  `useridentity_arn` string COMMENT 'ARN of who started it, for an orphan, as the agent logged it.',
  `useridentity_type` string COMMENT 'Kind of caller, as AssumedRole.',
  `useridentity_accountid` string COMMENT 'Account of the caller.',
  `sourceidentity` string COMMENT 'Person behind the role session.',
  `issuer_arn` string COMMENT 'Role that issued the session.',
  `mfaauthenticated` string COMMENT '`true` if the caller used MFA, as given.',
  `sourceipaddress` string COMMENT 'Address of the caller.',
  `useragent` string COMMENT 'Agent that made the request.',
  `recipientaccountid` string COMMENT 'Account of the session, for an orphan, of its log group.',
  `awsregion` string COMMENT 'Region of the session.',
  `target` string COMMENT 'Instance or task that the session was for.',
  `documentname` string COMMENT 'Session document, the account’s default where none was named.',
  `reason` string COMMENT 'Reason that the caller gave.',
  `parameters` string COMMENT 'Parameters of the document, JSON.',
  `errorcode` string COMMENT 'Why it was not started.',
  `errormessage` string COMMENT 'Message of that error.',
  `eventid` string COMMENT 'Event id of the StartSession, null for an orphan.',
  `runasuser` string COMMENT 'User on the target, null where the log does not say.',
  `first_output_time` timestamp COMMENT 'Time of the first log event of the session, of an upload to S3, when it was uploaded. (UTC)',
  `last_output_time` timestamp COMMENT 'Time of the last log event of the session, of an upload to S3, when it was uploaded. (UTC)',
  `resumes` bigint COMMENT 'Times that the session was resumed. (count)',
  `chunks` bigint COMMENT 'Log events, or uploads to S3, that the transcript was put together from. (count)',
  `repeated_chunks` bigint COMMENT 'Chunks with the text of another chunk of the session: the agent may have sent them twice. All are kept. (count)',
  `lines` bigint COMMENT 'Lines of the transcript. (count)',
  `bytes` bigint COMMENT 'Length of the transcript in UTF-8. (bytes)',
  `sessiondata` string COMMENT 'The whole transcript in order, lines joined by a newline, null if there is none.',
  `transcript` string COMMENT 'sessiondata as a reader would have seen it: terminal sequences, backspaces and carriage returns acted on.',
  `loggroup` string COMMENT 'Log group of the keystrokes, null where they are an upload to S3.',
  `logstream` string COMMENT 'Log stream of the keystrokes, null where they are an upload to S3.'
)
COMMENT 'Session Manager sessions started, refused or found on the day, one row each, keystrokes joined in.'
PARTITIONED BY (
  `eventday` date COMMENT 'UTC day of eventtime, the partition. (UTC day)'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.orc.OrcSerde'
WITH SERDEPROPERTIES ('orc.column.index.access' = 'false')
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat'
LOCATION 's3://example-lake/_no_files/sessions/'
TBLPROPERTIES ('classification' = 'orc');
