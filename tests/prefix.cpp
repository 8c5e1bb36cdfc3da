// Nothing: this file exists so that the headers all tests share are compiled once (see
// CMakeLists.txt).
