-- made by `make docs` from the record of the table: change the record, not this file
-- How to use it: README.md beside this file.
-- A day is one partition, at the folder of its published version:
--   ALTER TABLE `loglake`.`from_ssm_s3_readready` ADD IF NOT EXISTS PARTITION (`eventday` = '2023-07-10') LOCATION 's3://example-lake/from_ssm_s3_readready/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
--   ALTER TABLE `loglake`.`from_ssm_s3_readready` PARTITION (`eventday` = '2023-07-10') SET LOCATION 's3://example-lake/from_ssm_s3_readready/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
CREATE EXTERNAL TABLE IF NOT EXISTS `loglake`.`from_ssm_s3_readready` (
  `eventtime` timestamp COMMENT 'When the text was uploaded, at the end of the session or later: the object’s last-modified time. (UTC)',
  `sessionid` string COMMENT 'Session: text after the last hyphen of the object’s name.',
  `sessionowner` string COMMENT 'Text before the last hyphen of the object’s name.',
  `accountid` string COMMENT 'Account of the session, as the feed’s settings say it, null if they do not.',
  `awsregion` string COMMENT 'Region of the session, as the feed’s settings say it, null if they do not.',
  `sessiondata` string COMMENT 'The whole text as it was uploaded, line ends and terminal sequences included, U+FFFD for what is no UTF-8.',
  `sessionbytes` string COMMENT 'The object’s bytes in base64, where they are no UTF-8, null where they are.',
  `exitcode` bigint COMMENT 'Of a command’s session: the n of `EXIT_CODE: n` at the text’s end, null elsewhere.',
  `contentsha256` string COMMENT 'SHA-256 of the object’s bytes, 64 hex digits.',
  `source_object` string COMMENT 'URI of the source object that the row was read from.',
  `source_ordinal` bigint COMMENT 'Place of the record in its source object, counted from 0 over every record, rejected ones too. (count)'
)
COMMENT 'Session Manager’s uploads to S3, one row an upload of the day, copies dropped.'
PARTITIONED BY (
  `eventday` date COMMENT 'UTC day of eventtime, the partition. (UTC day)'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.orc.OrcSerde'
WITH SERDEPROPERTIES ('orc.column.index.access' = 'false')
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat'
LOCATION 's3://example-lake/_no_files/from_ssm_s3_readready/'
TBLPROPERTIES ('classification' = 'orc');
