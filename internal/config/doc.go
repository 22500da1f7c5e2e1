// Package config says what a run is to be. It reads four layers (command line
// flags, SNAKEPIT_* variables, a YAML file, built-in defaults), lets the
// highest one that speaks win for each setting, and checks the result, so that
// a run with a bad setting ends before anything of it has started.
//
// It reads the one configuration file and looks whether directories exist. It
// does not read the command line or the environment by itself, start
// processes, open ports or look for Python.
package config
