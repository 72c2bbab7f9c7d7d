DROP TABLE trend_places;
DROP TABLE trends;
DROP TABLE session_counts;
DROP TABLE catalogue_clock;
DROP TABLE definitions;
DROP TABLE games;
