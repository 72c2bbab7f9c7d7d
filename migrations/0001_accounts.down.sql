DROP TABLE server_credentials;
DROP TABLE device_identities;
DROP TABLE users;
