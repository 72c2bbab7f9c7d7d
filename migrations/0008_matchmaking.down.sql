DROP TABLE queue_leases;
DROP TABLE matchmaking_workers;
DROP TABLE matchmaking_positions;
DROP TABLE rated_sessions;
DROP TABLE ratings;
DROP TABLE match_seats;
DROP TABLE matches;
