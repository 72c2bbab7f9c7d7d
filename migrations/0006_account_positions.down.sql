DROP TABLE game_account_positions;
