-- made by `make docs` from the record of the table: change the record, not this file
-- How to use it: README.md beside this file.
-- A day is one partition, at the folder of its published version:
--   ALTER TABLE `loglake`.`from_cloudwatch_readready` ADD IF NOT EXISTS PARTITION (`eventday` = '2023-07-10') LOCATION 's3://example-lake/from_cloudwatch_readready/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
--   ALTER TABLE `loglake`.`from_cloudwatch_readready` PARTITION (`eventday` = '2023-07-10') SET LOCATION 's3://example-lake/from_cloudwatch_readready/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
CREATE EXTERNAL TABLE IF NOT EXISTS `loglake`.`from_cloudwatch_readready` (
  `eventtime` timestamp COMMENT 'Time of the log event. (UTC)',
  `owner` string COMMENT 'Account of the log group, 12 digits, leading zeros kept.',
  `loggroup` string COMMENT 'Log group.',
  `logstream` string COMMENT 'Log stream, for session logs the session’s name.',
  `eventid` string COMMENT 'Id of the log event, a decimal of 56 digits.',
  `message` string COMMENT 'The log event’s text, exactly as it came.',
  `extractedfields` string COMMENT 'Fields that the filter pattern extracted, JSON.',
  `sessionid` string COMMENT 'Session logs: text after the last hyphen of the stream’s name.',
  `sessionowner` string COMMENT 'Session logs: text before the last hyphen of the stream’s name.',
  `awsregion` string COMMENT 'Session logs: region of the session, null in plain ones.',
  `target` string COMMENT 'Session logs: instance or task that the session ran on.',
  `useridentity_arn` string COMMENT 'Session logs: who owned the session.',
  `runasuser` string COMMENT 'Session logs: user on the target.',
  `sessiondata` string COMMENT 'Session logs: lines joined by a newline, a plain upload’s text.',
  `form` string COMMENT 'Session logs: `streamed` (the agent’s JSON) or `plain` (end-of-session upload).',
  `source_object` string COMMENT 'URI of the source object that the row was read from.',
  `source_ordinal` bigint COMMENT 'Place of the record in its source object, counted from 0 over every record, rejected ones too. (count)'
)
COMMENT 'CloudWatch log events, one row an event of the day, deduplicated, session logs taken apart.'
PARTITIONED BY (
  `eventday` date COMMENT 'UTC day of eventtime, the partition. (UTC day)'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.orc.OrcSerde'
WITH SERDEPROPERTIES ('orc.column.index.access' = 'false')
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat'
LOCATION 's3://example-lake/_no_files/from_cloudwatch_readready/'
TBLPROPERTIES ('classification' = 'orc');
