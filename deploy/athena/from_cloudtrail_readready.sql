-- made by `make docs` from the record of the table: change the record, not this file
-- How to use it: README.md beside this file.
-- A day is one partition, at the folder of its published version:
--   ALTER TABLE `loglake`.`from_cloudtrail_readready` ADD IF NOT EXISTS PARTITION (`eventday` = '2023-07-10') LOCATION 's3://example-lake/from_cloudtrail_readready/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
--   ALTER TABLE `loglake`.`from_cloudtrail_readready` PARTITION (`eventday` = '2023-07-10') SET LOCATION 's3://example-lake/from_cloudtrail_readready/eventday=2023-07-10/v=20230711T023000000000Z-0a1b2c3d/'
CREATE EXTERNAL TABLE IF NOT EXISTS `loglake`.`from_cloudtrail_readready` (
  `eventtime` timestamp COMMENT 'When the request completed, by the service’s clock, of an aggregated event the start of its window. (UTC)',
  `eventsource` string COMMENT 'Service that was called, as `ssm.amazonaws.com`.',
  `eventname` string COMMENT 'API action, as `StartSession`, not unique across services.',
  `awsregion` string COMMENT 'Region that the request was made to.',
  `recipientaccountid` string COMMENT 'Account that received the event, 12 digits, leading zeros kept.',
  `eventid` string COMMENT 'Id of the event, a GUID as given, with recipientaccountid it names one event.',
  `eventtype` string COMMENT 'Kind of event, as AwsApiCall, AwsServiceEvent, AwsConsoleSignIn.',
  `eventcategory` string COMMENT 'Management, Data, NetworkActivity, Insight or Aggregated, absent before 1.07.',
  `eventversion` string COMMENT 'Version of the record’s format, 1.10 is newer than 1.09.',
  `requestid` string COMMENT 'Id of the request, not a key, several events may share it.',
  `sharedeventid` string COMMENT 'Common to the copies of one action that several accounts received, not a key.',
  `useridentity_type` string COMMENT 'Kind of caller, as AssumedRole, IAMUser, AWSService.',
  `useridentity_principalid` string COMMENT 'Unique id of the caller, `AROA...:session-name` for role sessions.',
  `useridentity_arn` string COMMENT 'ARN of the caller.',
  `useridentity_accountid` string COMMENT 'Account that the caller belongs to.',
  `useridentity_accesskeyid` string COMMENT 'Access key that signed the request.',
  `useridentity_username` string COMMENT 'Name of the IAM user, absent for roles and services.',
  `useridentity_invokedby` string COMMENT 'Service that made the request for the caller.',
  `useridentity_sessioncontext_sessionissuer_type` string COMMENT 'Source of the temporary credentials, as Role.',
  `useridentity_sessioncontext_sessionissuer_principalid` string COMMENT 'Unique id of the role or user that issued the session.',
  `useridentity_sessioncontext_sessionissuer_arn` string COMMENT 'ARN of the role or user that issued the session.',
  `useridentity_sessioncontext_sessionissuer_accountid` string COMMENT 'Account of the role or user that issued the session.',
  `useridentity_sessioncontext_sessionissuer_username` string COMMENT 'Name of the role or user that issued the session.',
  `useridentity_sessioncontext_webidfederationdata` string COMMENT 'Identity provider and its attributes, JSON.',
  `useridentity_sessioncontext_attributes_creationdate` string COMMENT 'When the credentials were issued, as given.',
  `useridentity_sessioncontext_attributes_mfaauthenticated` string COMMENT '`true` if the caller used MFA, as given.',
  `useridentity_sessioncontext_sourceidentity` string COMMENT 'Person behind the role session, as set at AssumeRole.',
  `useridentity_sessioncontext_ec2roledelivery` string COMMENT 'Version of the instance metadata service, `1.0` or `2.0`.',
  `useridentity_sessioncontext_assumedroot` string COMMENT 'Whether the session was made by AssumeRoot, as given.',
  `useridentity_invokedbydelegate_accountid` string COMMENT 'Account that used temporary delegated access.',
  `useridentity_onbehalfof_userid` string COMMENT 'IAM Identity Center user that the caller acted for.',
  `useridentity_onbehalfof_identitystorearn` string COMMENT 'Identity store of that user.',
  `useridentity_inscopeof_sourcearn` string COMMENT 'Resource that the credentials are scoped to.',
  `useridentity_inscopeof_sourceaccount` string COMMENT 'Account of that resource.',
  `useridentity_inscopeof_issuertype` string COMMENT 'Kind of issuer of scoped credentials.',
  `useridentity_inscopeof_credentialsissuedto` string COMMENT 'Who the scoped credentials were issued to.',
  `useridentity_credentialid` string COMMENT 'Id of the bearer token that the caller used.',
  `useridentity_identityprovider` string COMMENT 'Provider that vouched for a SAML or web identity user.',
  `sourceipaddress` string COMMENT 'Address of the caller, or the name of an AWS service, never a typed address.',
  `useragent` string COMMENT 'Agent that made the request, cut at 1 KB by AWS.',
  `errorcode` string COMMENT 'Error of a failed request, null for one that succeeded.',
  `errormessage` string COMMENT 'Message of the error, cut at 1 KB by AWS.',
  `requestparameters` string COMMENT 'What was asked, JSON exactly as it came.',
  `responseelements` string COMMENT 'What was answered, JSON exactly as it came, null for reads and failures.',
  `additionaleventdata` string COMMENT 'Further facts on the request or response, JSON.',
  `resources` string COMMENT 'Resources that were accessed, JSON array of accountId, type, ARN.',
  `serviceeventdetails` string COMMENT 'Details of a service event, JSON.',
  `readonly` boolean COMMENT 'Whether the action only reads.',
  `managementevent` boolean COMMENT 'Whether it is a management event.',
  `apiversion` string COMMENT 'Version of the service’s API, as given.',
  `vpcendpointid` string COMMENT 'VPC endpoint that the request passed.',
  `vpcendpointaccountid` string COMMENT 'Account of that endpoint.',
  `sessioncredentialfromconsole` string COMMENT '`true` when the console’s session made the request.',
  `addendum_reason` string COMMENT 'Why an addendum came: DELIVERY_DELAY, UPDATED_DATA or SERVICE_OUTAGE.',
  `addendum_updatedfields` string COMMENT 'Fields that the addendum corrects.',
  `addendum_originalrequestid` string COMMENT 'Request id of the event that it corrects.',
  `addendum_originaleventid` string COMMENT 'Event id of the event that it corrects, that one is kept too.',
  `edgedevicedetails` string COMMENT 'Edge device that was the target, JSON.',
  `tlsdetails` string COMMENT 'TLS version, cipher suite and host name of the request, JSON.',
  `insightdetails` string COMMENT 'What an Insights event found, JSON.',
  `eventcontext` string COMMENT 'Request and tag context of enriched events, JSON.',
  `sessionid` string COMMENT 'Session Manager session: text after the last hyphen of its name.',
  `sessionowner` string COMMENT 'Text before the last hyphen of the session’s name.',
  `is_truncated` boolean COMMENT 'True where AWS left out the content of a field that was too long (`omitted` in its place).',
  `extra` string COMMENT 'Every field that no column names, and values that their column’s type cannot hold, JSON.',
  `emptyfields` string COMMENT 'Fields that were null or {}, as `responseElements=null`, tells null from absent.',
  `source_object` string COMMENT 'URI of the source object that the row was read from.',
  `source_ordinal` bigint COMMENT 'Place of the record in its source object, counted from 0 over every record, rejected ones too. (count)'
)
COMMENT 'CloudTrail events, one row an event of the day, deduplicated.'
PARTITIONED BY (
  `eventday` date COMMENT 'UTC day of eventtime, the partition. (UTC day)'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.orc.OrcSerde'
WITH SERDEPROPERTIES ('orc.column.index.access' = 'false')
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat'
LOCATION 's3://example-lake/_no_files/from_cloudtrail_readready/'
TBLPROPERTIES ('classification' = 'orc');
