-- made by `make docs` from the record of the table: change the record, not this file
-- How to use it: README.md beside this file.
-- A folder of deliveries is one partition, where it lies:
--   ALTER TABLE `loglake`.`from_cloudtrail_raw` ADD IF NOT EXISTS PARTITION (`feed` = 'cloudtrail', `trail` = 'AWSLogs/o-exampleorg1', `folder` = 'CloudTrail', `account` = '111122223333', `region` = 'eu-west-1', `day` = '2023-07-10') LOCATION 's3://example-trail/AWSLogs/o-exampleorg1/111122223333/CloudTrail/eu-west-1/2023/07/10/'
CREATE EXTERNAL TABLE IF NOT EXISTS `loglake`.`from_cloudtrail_raw` (
  `eventversion` STRING,
  `useridentity` STRUCT<type:STRING,principalid:STRING,arn:STRING,accountid:STRING,invokedby:STRING,accesskeyid:STRING,username:STRING,onbehalfof:STRUCT<userid:STRING,identitystorearn:STRING>,sessioncontext:STRUCT<attributes:STRUCT<mfaauthenticated:STRING,creationdate:STRING>,sessionissuer:STRUCT<type:STRING,principalid:STRING,arn:STRING,accountid:STRING,username:STRING>,ec2roledelivery:STRING,webidfederationdata:STRUCT<federatedprovider:STRING,attributes:MAP<STRING,STRING>>>>,
  `eventtime` STRING,
  `eventsource` STRING,
  `eventname` STRING,
  `awsregion` STRING,
  `sourceipaddress` STRING,
  `useragent` STRING,
  `errorcode` STRING,
  `errormessage` STRING,
  `requestparameters` STRING,
  `responseelements` STRING,
  `additionaleventdata` STRING,
  `requestid` STRING,
  `eventid` STRING,
  `eventtype` STRING,
  `apiversion` STRING,
  `readonly` STRING,
  `recipientaccountid` STRING,
  `serviceeventdetails` STRING,
  `sharedeventid` STRING,
  `vpcendpointid` STRING,
  `vpcendpointaccountid` STRING,
  `eventcategory` STRING,
  `sessioncredentialfromconsole` STRING,
  `edgedevicedetails` STRING,
  `resources` ARRAY<STRUCT<arn:STRING,accountid:STRING,type:STRING>>,
  `addendum` STRUCT<reason:STRING,updatedfields:STRING,originalrequestid:STRING,originaleventid:STRING>,
  `tlsdetails` STRUCT<tlsversion:STRING,ciphersuite:STRING,clientprovidedhostheader:STRING>
)
COMMENT 'CloudTrail files where they were delivered.'
PARTITIONED BY (
  `feed` string COMMENT 'Name of the feed in loglake.yaml.',
  `trail` string COMMENT 'Part of the key before the account, as `AWSLogs/o-exampleorg1`.',
  `folder` string COMMENT 'Kind of records, as `CloudTrail` or `CloudTrail-Insight`.',
  `account` string COMMENT 'Account that the folder is of.',
  `region` string COMMENT 'Region that the folder is of.',
  `day` date COMMENT 'UTC day of delivery.'
)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION 's3://example-lake/_no_files/from_cloudtrail_raw/';
