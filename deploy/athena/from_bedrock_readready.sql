-- made by `make docs` from the record of the table: change the record, not this file
-- How to use it: README.md beside this file.
-- A day is one partition, at the folder of its published version:
--   ALTER TABLE `loglake`.`from_bedrock_readready` ADD IF NOT EXISTS PARTITION (`eventday` = '2023-07-10') LOCATION 's3://example-lake/from_bedrock_readready/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
--   ALTER TABLE `loglake`.`from_bedrock_readready` PARTITION (`eventday` = '2023-07-10') SET LOCATION 's3://example-lake/from_bedrock_readready/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
CREATE EXTERNAL TABLE IF NOT EXISTS `loglake`.`from_bedrock_readready` (
  `eventtime` timestamp COMMENT 'When the model was called. (UTC)',
  `accountid` string COMMENT 'Account that called the model, 12 digits, leading zeros kept.',
  `region` string COMMENT 'Region that was called.',
  `requestid` string COMMENT 'Id of the call, with accountid and region it names one.',
  `operation` string COMMENT 'InvokeModel, InvokeModelWithResponseStream, Converse or ConverseStream.',
  `modelid` string COMMENT 'Model, inference profile or their ARN, as the caller gave it.',
  `identity_arn` string COMMENT 'ARN of the caller, absent in old records.',
  `inferenceregion` string COMMENT 'Region that answered, where a profile spans several.',
  `errorcode` string COMMENT 'Error of a failed call, as ThrottlingException, null for one that was answered.',
  `status` string COMMENT 'Status of the call, as given.',
  `requestmetadata` string COMMENT 'Tags that the caller gave, JSON object of texts.',
  `performanceconfig` string COMMENT 'Latency settings of the call, JSON.',
  `inputcontenttype` string COMMENT 'MIME type of what was asked.',
  `inputbodyjson` string COMMENT 'What was asked, prompts included: JSON of any shape exactly as it came.',
  `inputbodys3path` string COMMENT 'S3 URI of what was asked, where it was too large or no JSON.',
  `inputtokencount` bigint COMMENT 'Tokens that were asked. (count)',
  `cachereadinputtokencount` bigint COMMENT 'Tokens read from the prompt cache. (count)',
  `cachewriteinputtokencount` bigint COMMENT 'Tokens written to the prompt cache. (count)',
  `outputcontenttype` string COMMENT 'MIME type of the answer.',
  `outputbodyjson` string COMMENT 'The answer: JSON exactly as it came, an array of chunks for streams.',
  `outputbodys3path` string COMMENT 'S3 URI of the answer, where it was too large or no JSON.',
  `outputtokencount` bigint COMMENT 'Tokens of the answer. (count)',
  `outputimages3path` string COMMENT 'S3 URI of images in the answer.',
  `outputvideos3path` string COMMENT 'S3 URI of a video in the answer.',
  `outputvideodurationseconds` bigint COMMENT 'Length of that video. (seconds)',
  `schematype` string COMMENT 'Always ModelInvocationLog, a record of another type is a reject.',
  `schemaversion` string COMMENT 'Version of the record’s format, as 1.0.',
  `extra` string COMMENT 'Every field that no column names, and values that their column’s type cannot hold, JSON.',
  `emptyfields` string COMMENT 'Fields that were null or {}, as `operation=null`, tells null from absent.',
  `source_object` string COMMENT 'URI of the source object that the row was read from.',
  `source_ordinal` bigint COMMENT 'Place of the record in its source object, counted from 0 over every record, rejected ones too. (count)'
)
COMMENT 'Bedrock model invocations, one row a call of the day, deduplicated.'
PARTITIONED BY (
  `eventday` date COMMENT 'UTC day of eventtime, the partition. (UTC day)'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.orc.OrcSerde'
WITH SERDEPROPERTIES ('orc.column.index.access' = 'false')
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat'
LOCATION 's3://example-lake/_no_files/from_bedrock_readready/'
TBLPROPERTIES ('classification' = 'orc');
